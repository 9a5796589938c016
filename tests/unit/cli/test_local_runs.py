"""run, check and serve: the runtime from the command line, in processes of their own."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests import onnx_models

ROOT = Path(__file__).parents[3]
HOOKS = """\
print("a hook prints")
LABELS = open("/code/labels.txt").read().split()

def postprocess(output, raw_input):
    return LABELS[int(output.argmax())]
"""


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A folder with a model, two inputs, of which one does not fit, and a folder of hooks."""
    onnx_models.identity(tmp_path / "model.onnx")
    (tmp_path / "good.json").write_text("[1, 2, 3]")
    (tmp_path / "bad.json").write_text("[1, 2]")
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "inference.py").write_text(HOOKS)
    (tmp_path / "hooks" / "labels.txt").write_text("cat dog cow")
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from hookline.cli.main import hookline; hookline()", *words]


def environment(bench: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(bench),
        "PYTHONPATH": str(ROOT / "layers/hookline/python"),
    }


def call(bench: Path, line: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*line.split()),
        cwd=bench,
        env=environment(bench) | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_one_file_prints_its_answer_as_is(bench: Path) -> None:
    done = call(bench, "run model.onnx good.json --timings")

    assert done.returncode == 0, done.stderr
    assert done.stdout == '{"outputs": [1.0, 2.0, 3.0], "shape": [3, 1]}\n'
    for stage in ("sandbox", "load", "read", "predict"):
        assert f"{stage} " in done.stderr


def test_several_files_print_rows_and_the_bad_one_its_reason(bench: Path) -> None:
    done = call(bench, "run model.onnx good.json bad.json good.json --formatter raw")

    assert done.returncode == 10, done.stderr
    assert [row[0] for row in csv.reader(io.StringIO(done.stdout))] == ["good.json", "good.json"]
    assert "Error: bad.json:" in done.stderr
    assert call(bench, "run model.onnx bad.json").returncode == 6


def test_hooks_see_their_files_and_their_prints_are_no_data(bench: Path) -> None:
    done = call(bench, "run model.onnx good.json --hooks hooks")

    assert (done.returncode, done.stdout) == (0, "cow\n"), done.stderr
    assert "a hook prints" in done.stderr


def test_a_zip_is_checked_and_nothing_is_left_behind(bench: Path) -> None:
    scratch = bench / "scratch"
    scratch.mkdir()
    with zipfile.ZipFile(bench / "hooks.zip", "w") as archive:
        for name in ("inference.py", "labels.txt"):
            archive.write(bench / "hooks" / name, name)

    line = "check hooks.zip --model model.onnx --file good.json"
    done = call(bench, line, TMPDIR=str(scratch))

    assert (done.returncode, done.stdout) == (0, "cow\n"), done.stderr
    assert list(scratch.iterdir()) == []


def test_check_without_a_model_says_which_hooks_there_are(bench: Path) -> None:
    done = call(bench, "check hooks")

    assert done.returncode == 0
    assert "postprocess" in done.stderr


def test_check_shows_the_hooks_own_line(bench: Path) -> None:
    (bench / "broken.py").write_text("import json\nraise ValueError('no luck')\n")

    done = call(bench, "check broken.py --model model.onnx")

    assert done.returncode == 8
    assert 'File "inference.py", line 2' in done.stderr
    assert "hookline/cli" not in done.stderr


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("check nowhere", 3),
        ("check hooks --file good.json", 2),
        ("run nowhere.onnx good.json", 3),
        ("run model.onnx nowhere.json", 3),
        ("run model.onnx good.json --hooks good.json", 6),
        ("run good.json good.json", 8),
    ],
)
def test_what_is_not_there_or_not_usable_is_told(line: str, code: int, bench: Path) -> None:
    done = call(bench, line)

    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(("Error: ", "Usage: "))
    assert done.stdout == ""


def test_serve_answers_those_with_the_token_until_it_is_stopped(bench: Path) -> None:
    with subprocess.Popen(
        command("serve", "model.onnx", "--port", "0"),
        cwd=bench,
        env=environment(bench),
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        curl = next(line for line in server.stderr if "curl" in line).split()
        request = urllib.request.Request(curl[-1], b"[1, 2, 3]")
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", f"Bearer {curl[-2].strip(chr(39))}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.read() == b'{"outputs": [1.0, 2.0, 3.0], "shape": [3, 1]}'
        server.send_signal(signal.SIGINT)
        server.stderr.read()
        assert server.wait(20) == 0
