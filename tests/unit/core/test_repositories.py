"""What may be named as custom code: one plain shape of URL, and names that git gives."""

from __future__ import annotations

import pytest

from hookline.core.errors import InvalidInput
from hookline.core.repositories import MAX_URL_CHARS, check_custom_code

GOOD = "https://github.com/owner/name.git"

BAD_URLS = (
    "",
    "http://github.com/owner/name.git",
    "HTTPS://github.com/owner/name.git",
    "git://github.com/owner/name.git",
    "ssh://git@github.com/owner/name.git",
    "git@github.com:owner/name.git",
    "file:///etc",
    "/etc/passwd",
    "ext::sh -c touch% /tmp/x",
    "EXT::sh -c touch% /tmp/x",
    "https::https://github.com/owner/name",
    "--upload-pack=touch /tmp/x",
    "-uhttps://github.com/owner/name",
    " https://github.com/owner/name",
    "https://github.com/owner/name\n",
    "https://github.com/owner/name\n--upload-pack=x",
    "https://user:secret@github.com/owner/name",
    "https://github.com@127.0.0.1/owner/name",
    "https://github.com#@127.0.0.1/owner/name",
    "https://127.0.0.1\\@github.com/owner/name",
    "https://127.0.0.1/name",
    "https://127.1/name",
    "https://2130706433/name",
    "https://0x7f000001/name",
    "https://0x7f.1/name",
    "https://[::1]/name",
    "https://[::ffff:127.0.0.1]/name",
    "https://169.254.169.254/latest/meta-data/",
    "https://localhost/name",
    "https:///name",
    "https://./name",
    "https://github..com/name",
    "https://-github.com/name",
    "https://github.com./name",
    "https://g\u0131thub.com/name",  # an i without its dot
    "https://github.com:22/name",
    "https://github.com:/name",
    "https://github.com:0443/name",
    "https://github.com:443:80/name",
    "https://github.com:65536/name",
    "https://github.com:-1/name",
    "https://github.com:٤٤٣٣/name",  # digits, but not those of a port
    "https://github.com",
    "https://github.com/",
    "https://github.com//name",
    "https://github.com/../name",
    "https://github.com/owner/..",
    "https://github.com/owner/./name",
    "https://github.com/owner%0a/name",
    "https://github.com/owner/name?x=1",
    "https://github.com/owner/name#main",
    "https://github.com/$(touch x)",
    "https://github.com/owner/name\0",
    f"https://{'a' * 64}.com/name",
    f"https://{'a.' * 127}com/name",
    f"https://github.com/{'a' * MAX_URL_CHARS}",
)
BAD_COMMITS = (
    "-",
    "--upload-pack=touch /tmp/x",
    "+main",
    "main:main",
    "main..dev",
    "../main",
    "/main",
    ".hidden",
    "main dev",
    "main\n",
    "main\0",
    "main^{}",
    "main~1",
    "@{-1}",
    "HEAD@{1}",
    "*",
    "refs/*",
    "$(touch x)",
    "`id`",
    "main;id",
    "mäin",
    "m" * 101,
)


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_hostile_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_custom_code(url, "main")

    assert caught.value.why
    assert "https://github.com/owner/name.git" in caught.value.hint


@pytest.mark.parametrize("commit", BAD_COMMITS)
def test_a_hostile_commit_is_refused(commit: str) -> None:
    with pytest.raises(InvalidInput, match="commit"):
        check_custom_code(GOOD, commit)


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_custom_code("https://user:secret@github.com/owner/name", "")

    assert "secret" not in str(caught.value)
    assert "password" in caught.value.why


@pytest.mark.parametrize(
    "url",
    [
        GOOD,
        "https://github.com/owner/name",
        "https://gitlab.com/group/sub-group/name_1.git/",
        "https://dev.azure.com/org/My%20Project/_git/repo",
        "https://git.example.co.uk:8443/~ada/c++.git",
        "https://git.example.com:443/x",
        "https://xn--bcher-kva.example/x",
        "https://github.com/owner/..name",
    ],
)
@pytest.mark.parametrize(
    "commit", ["", "main", "v1.2.3", "feature/new-layer", "HEAD", "refs/pull/1/head", "a" * 40]
)
def test_plain_ones_pass(url: str, commit: str) -> None:
    check_custom_code(url, commit)
