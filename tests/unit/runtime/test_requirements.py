"""requirements.txt: pins pass, everything else is refused with its line."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.core.errors import InvalidBundle
from hookline.runtime.requirements import parse

SHA = "a" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scipy==1.17.1", ["scipy==1.17.1"]),
        ("  scipy == 1.17.1  # numbers\r\n", ["scipy==1.17.1"]),
        ("\ufeffnumpy==2.4.6\n\n# a comment\nPillow==13.0.0\n", ["numpy==2.4.6", "Pillow==13.0.0"]),
        ("uvicorn[standard, http2]==0.40.0", ["uvicorn[standard,http2]==0.40.0"]),
        ("torch==2.13.0+cpu", ["torch==2.13.0+cpu"]),
        ("a==1!2.0rc1.post2.dev3", ["a==1!2.0rc1.post2.dev3"]),
        ("zope.interface==7.2", ["zope.interface==7.2"]),
        ("a==1;python_version<'3.12'", ["a==1 ; python_version<'3.12'"]),
        (
            "a==1 ; sys_platform == 'linux' and platform_machine in \"x86_64 aarch64\"",
            ["a==1 ; sys_platform == 'linux' and platform_machine in \"x86_64 aarch64\""],
        ),
        (f"a==1 \\\n    --hash=sha256:{SHA}\nb==2", [f"a==1 --hash=sha256:{SHA}", "b==2"]),
        ("", []),
        ("# nothing\n\n", []),
    ],
)
def test_pinned_packages_are_read(text: str, expected: list[str]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "line",
    [
        "scipy",
        "scipy>=1.0",
        "scipy==1.*",
        "scipy===1.0",
        "scipy==1.0,!=1.1",
        "scipy~=1.0",
        "scipy (==1.0)",
        "-r other.txt",
        "-r -",
        "-e .",
        "--index-url https://evil.example/simple",
        "--extra-index-url=https://evil.example/simple",
        "--find-links /",
        "--pre",
        "-c constraints.txt",
        "scipy==1.0 --index-url https://evil.example/simple",
        "scipy==1.0 --config-settings=a=b",
        "scipy==1.0 --hash=md5:00",
        "scipy==1.0 --hash=sha256:00",
        "scipy @ https://evil.example/scipy.whl",
        "scipy @ file:///etc/passwd",
        "https://evil.example/scipy.whl",
        "git+https://evil.example/scipy.git",
        "git+ssh://git@evil.example/scipy.git@main",
        "./scipy.whl",
        "/etc/passwd",
        "..",
        "C:\\scipy.whl",
        "${HOME}==1.0",
        "scipy==${VERSION}",
        "scipy==1.0; extra == 'x'",
        "scipy==1.0; python_version < '3.12' or (os_name == 'nt')",
        "scipy==1.0; __import__('os').system('id') == '0'",
        "sci\u0440y==1.0",
        "scipy==\u0661.0",
        "scipy==1.0\u2028--pre",
        "scipy==1.0\x0b--pre",
        "scipy==1.0\x00",
        "scipy==1.0 numpy==2.0",
        "-scipy==1.0",
        "scipy-==1.0",
        "[x]==1.0",
        "==1.0",
    ],
)
def test_anything_else_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(InvalidBundle, match=r"line 3 is ") as caught:
        parse(f"numpy==2.4.6\n# next\n{line}\n")
    assert caught.value.hint


def test_a_long_line_is_shown_short() -> None:
    with pytest.raises(InvalidBundle) as caught:
        parse("x" * 10_000)
    assert len(str(caught.value)) < 400


def test_an_absurd_file_is_refused() -> None:
    with pytest.raises(InvalidBundle, match="At most"):
        parse("a==1\n" * 10_000)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_whatever_the_text_only_pins_come_out(text: str) -> None:
    try:
        lines = parse(text)
    except InvalidBundle:
        return
    assert all(re.match(r"[A-Za-z0-9._-]+(\[[^\]]+\])?==[0-9]", line) for line in lines)
    assert parse("\n".join(lines)) == lines
