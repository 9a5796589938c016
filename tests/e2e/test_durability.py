"""Everything acknowledged survives SIGKILL of every process, and work goes on where it was."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path

from tests.e2e.cloud import CLASSIFY, DIGITS, Cloud, digit_files, running, until

FILES = 600


def lay_out(folder: Path) -> None:
    folder.mkdir()
    images = digit_files()
    for number in range(FILES):
        (folder / f"{number:04}.png").write_bytes(images[number % len(images)].read_bytes())


def test_a_batch_survives_the_death_of_everything_with_one_row_per_file(tmp_path: Path) -> None:
    lay_out(tmp_path / "files")
    hook = tmp_path / "inference.py"
    hook.write_text(
        "import time\ndef postprocess(output, raw_input):\n"
        "    time.sleep(0.01)\n    return str(output.argmax())\n"
    )
    with running(tmp_path / "home") as cloud:
        model = cloud.ask("model", "import", f"{DIGITS}/digits.onnx", "--name", "digits")
        stream = cloud.ask("model", "deploy", str(model["id"]), *CLASSIFY, "--wait")
        volume = cloud.ask("volume", "upload", str(tmp_path / "files"))
        asked = ("batch", "predict", str(model["id"]), str(volume["id"]), "-f", str(hook))
        job_id = str(cloud.ask(*asked)["id"])
        for deaths in range(2):
            until(lambda: cloud.ask("batch", "show", job_id)["status"] == "Running")
            until(partial(has_begun, cloud, job_id, deaths))
            cloud.kill()
            cloud.up()
        image = digit_files()[0]
        token = stream["presigned_token"]
        until(lambda: cloud.predict(token, image.read_bytes()).status_code == 200)
        until(lambda: cloud.ask("batch", "show", job_id)["status"] == "Completed", 110)
        rows = list(csv.reader(io.StringIO(cloud.run("batch", "results", job_id).stdout)))
        assert [row[0] for row in rows] == [f"{number:04}.png" for number in range(FILES)]
        assert all(row[1].isdigit() for row in rows)


def has_begun(cloud: Cloud, job_id: str, deaths: int) -> bool:
    """The workers are in the middle: an engine runs, and later some shard is done."""
    shown = cloud.ask("batch", "show", job_id)
    engines = [pid for pid in cloud.processes() if b"runtime.engine" in _command(pid)]
    return bool(engines) and (shown["done"] > 0 or deaths == 0)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
