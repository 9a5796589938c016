"""run, check and serve: the runtime from the command line, in processes of their own."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
    return [sys.executable, "-c", "from hookline.cli.start import hookline; hookline()", *words]


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


def test_a_path_through_another_folder_and_a_link_are_found(bench: Path) -> None:
    (bench / "elsewhere").mkdir()
    (bench / "elsewhere" / "link.json").symlink_to("../good.json")

    for name in ("elsewhere/../good.json", "elsewhere/link.json"):
        done = call(bench, f"run model.onnx {name}")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith('{"outputs": [1.0, 2.0, 3.0]')


def test_a_missing_file_is_told_before_the_model_is_loaded(bench: Path) -> None:
    (bench / "hooks" / "labels.txt").unlink()

    done = call(bench, "run model.onnx good.json nowhere.json --hooks hooks")

    assert done.returncode == 3
    assert "There is no file nowhere.json." in done.stderr
    assert "a hook prints" not in done.stderr


@pytest.mark.parametrize(
    ("deed", "word"),
    [("os._exit(3)", "exit code 3"), ("os.kill(os.getpid(), 9)", "SIGKILL")],
)
@pytest.mark.parametrize(
    "line",
    ["check hooks --model model.onnx --file good.json", "run model.onnx good.json --hooks hooks"],
)
def test_a_hook_that_ends_its_process_is_told(deed: str, word: str, line: str, bench: Path) -> None:
    (bench / "hooks" / "inference.py").write_text(
        f"import os\n\ndef postprocess(output, raw_input):\n    {deed}\n"
    )

    done = call(bench, line)

    assert done.returncode == 8, done.stderr
    assert word in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Hint: ")


@pytest.mark.parametrize("model", ["", " --model model.onnx"])
def test_check_refuses_a_file_without_hooks_and_names_the_misspelt(model: str, bench: Path) -> None:
    (bench / "typo.py").write_text("def post_process(output, raw_input): ...\n")

    done = call(bench, f"check typo.py{model}")

    assert done.returncode == 6, done.stderr
    assert "post_process is not a hook; did you mean postprocess?" in done.stderr
    assert call(bench, f"check hooks{model}").returncode == 0


def test_check_warns_of_a_misspelt_hook_beside_a_good_one(bench: Path) -> None:
    (bench / "half.py").write_text(
        "def postprocess(output, raw_input): ...\n\ndef preproces(input, model): ...\n"
    )

    done = call(bench, "check half.py")

    assert done.returncode == 0, done.stderr
    assert "preproces is not a hook; did you mean preprocess?" in done.stderr


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
        ("run good.json good.json", 6),
    ],
)
def test_what_is_not_there_or_not_usable_is_told(line: str, code: int, bench: Path) -> None:
    done = call(bench, line)

    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(("Error: ", "Usage: "))
    assert done.stdout == ""


def test_a_reader_that_leaves_ends_a_run_quietly(bench: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command("run", "model.onnx", "good.json", "good.json"),
            cwd=bench,
            env=environment(bench),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writer)

    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_ends_a_run_whatever_the_hook_makes_of_it(bench: Path) -> None:
    (bench / "hooks" / "inference.py").write_text(
        "import time\n"
        "def postprocess(output, raw_input):\n"
        "    print('waiting', flush=True)\n"
        "    try:\n"
        "        time.sleep(60)\n"
        "    except BaseException:\n"
        "        time.sleep(60)\n"
    )
    with subprocess.Popen(
        command("run", "model.onnx", "good.json", "good.json", "--hooks", "hooks"),
        cwd=bench,
        env=environment(bench) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        assert run.stdout is not None
        next(line for line in run.stdout if "waiting" in line)
        run.send_signal(signal.SIGINT)
        said = run.stdout.read()
        code = run.wait(20)

    assert (code, said) == (130, "Interrupted.\n")


def test_serve_that_is_stopped_while_it_loads_is_no_crash(bench: Path) -> None:
    (bench / "hooks" / "inference.py").write_text(
        "import time\nprint('loading', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen(
        command("serve", "model.onnx", "--port", "0", "--hooks", "hooks"),
        cwd=bench,
        env=environment(bench) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        assert server.stdout is not None
        next(line for line in server.stdout if "loading" in line)
        server.send_signal(signal.SIGINT)
        said = server.stdout.read()
        code = server.wait(20)

    assert code == 0, said
    assert "Error" not in said


@pytest.mark.parametrize("options", [(), ("--workers", "2"), ("--slo", "p99=50ms")])
def test_serve_answers_those_with_the_token_until_it_is_stopped(
    bench: Path, options: tuple[str, ...]
) -> None:
    with subprocess.Popen(
        command("serve", "model.onnx", "--port", "0", *options),
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


@pytest.mark.parametrize("goal", ["50", "p99=", "p99=0ms", "p95=50ms", "p99=50", "p99=-1ms"])
def test_serve_takes_no_goal_that_it_cannot_read(bench: Path, goal: str) -> None:
    done = subprocess.run(
        command("serve", "model.onnx", "--slo", goal),
        cwd=bench,
        env=environment(bench),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "p99=50ms" in done.stderr


def test_run_pads_as_it_is_told(bench: Path) -> None:
    onnx_models.sums(bench / "sums.onnx")
    (bench / "short.json").write_text("[1, 2]")
    plain, padded = (
        json.loads(call(bench, f"run sums.onnx short.json {flags}").stdout)["outputs"]
        for flags in ("", "--buckets 4,8 --pad x=10")
    )

    assert (plain["sum"], padded["sum"]) == ([3.0], [23.0])
    assert plain["pairs"] == padded["pairs"]


def test_the_decoder_decides_what_a_large_photograph_becomes(bench: Path) -> None:
    onnx_models.image_mean(bench / "means.onnx", height=16, width=16)
    ramp = np.tile(np.linspace(0, 255, 1200) ** 2 / 255, (1000, 1)).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 9, (1000, 1200), np.uint8)
    Image.fromarray(ramp // 2 + noise).convert("RGB").save(bench / "photo.jpg")

    said = {
        flag: call(bench, f"run means.onnx photo.jpg {flag}").stdout
        for flag in ("", "--decoder pillow", "--decoder exact", "--decoder simplejpeg")
    }
    assert said[""] == said["--decoder pillow"] == said["--decoder simplejpeg"] != ""
    assert said["--decoder exact"] not in ("", said[""])
