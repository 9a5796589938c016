"""Volumes, batches and triggers, end to end."""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.e2e.cloud import CLASSIFY, DIGITS, Cloud, digit_files, running, until

LABELS = dict(csv.reader((DIGITS / "truth.csv").read_text().splitlines()))
TRUTH = {path.name: LABELS[path.name] for path in digit_files()}


def rows_of(cloud: Cloud, job_id: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(cloud.run("batch", "results", str(job_id)).stdout)))


def right(rows: list[list[str]]) -> int:
    labels = {name: json.loads(output)["predictions"][0]["label"] for name, output in rows}
    return sum(label == TRUTH[name] for name, label in labels.items())


def test_a_volume_of_digits_becomes_one_csv_and_is_mostly_right(
    cloud: Cloud, model_id: str
) -> None:
    uploaded = cloud.run("volume", "upload", f"{DIGITS}/images", "-o", "json")
    volume = json.loads(uploaded.stdout)
    assert (volume["success"], volume["failed"], volume["total_files"]) == (100, 0, 100)
    job = cloud.ask("batch", "predict", model_id, str(volume["id"]), *CLASSIFY, "--wait")
    rows = rows_of(cloud, job["id"])
    assert [name for name, _ in rows] == sorted(TRUTH)
    assert right(rows) >= 95
    shown = cloud.ask("batch", "show", str(job["id"]))
    assert (shown["status"], shown["total"], shown["succeeded"]) == ("Completed", 100, 100)
    checked = cloud.ask("batch", "verify", str(job["id"]))
    assert (checked["succeeded"], checked["pending"], checked["problems"]) == (100, 0, [])


def test_a_batch_row_equals_the_stream_and_the_laptop(cloud: Cloud, model_id: str) -> None:
    stream = cloud.ask("model", "deploy", model_id, "--wait")
    volume = cloud.ask("volume", "upload", str(digit_files()[0]))
    job = cloud.ask("batch", "predict", model_id, str(volume["id"]), "--wait")
    [[_, row]] = rows_of(cloud, job["id"])
    image = digit_files()[0]
    streamed = cloud.predict(stream["presigned_token"], image.read_bytes()).text
    local = cloud.run("run", f"{DIGITS}/digits.onnx", str(image)).stdout
    assert row == streamed
    assert row in local


def test_files_are_added_to_a_volume_and_folders_linked(
    cloud: Cloud, model_id: str, tmp_path: Path
) -> None:
    first, second, third = digit_files()[:3]
    volume = cloud.ask("volume", "upload", str(first))
    cloud.run("volume", "upload", str(second), "-i", str(volume["id"]))
    assert cloud.ask("volume", "show", str(volume["id"]))["total_files"] == 2
    shutil.copy(third, tmp_path)
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "link.png").symlink_to(third)
    linked = cloud.ask("volume", "link", str(tmp_path))
    job = cloud.ask("batch", "predict", model_id, str(linked["id"]), "--wait")
    assert [row[0] for row in rows_of(cloud, job["id"])] == [third.name]
    assert job["left_out"] == {"dotfile": 1, "link": 1}


def test_results_are_refused_while_a_job_runs_and_a_stopped_job_is_partial(
    cloud: Cloud, model_id: str, tmp_path: Path
) -> None:
    hook = tmp_path / "inference.py"
    hook.write_text(
        "import time\ndef postprocess(output, raw):\n    time.sleep(0.2)\n    return 'x'\n"
    )
    volume = cloud.ask("volume", "upload", f"{DIGITS}/images")
    started = cloud.ask("batch", "predict", model_id, str(volume["id"]), "-f", str(hook))
    job_id = str(started["id"])
    until(lambda: cloud.ask("batch", "show", job_id)["status"] == "Running")
    cloud.run("batch", "results", job_id, status=5)
    so_far = cloud.run("batch", "results", job_id, "--partial")
    assert f"Job {job_id} is Running" in so_far.stderr
    assert all(row.endswith(",x,") for row in so_far.stdout.splitlines())
    assert cloud.ask("batch", "stop", job_id)["status"] in {"Stopping", "Stopped"}
    until(lambda: cloud.ask("batch", "show", job_id)["status"] == "Stopped", 15)
    refused = cloud.run("batch", "results", job_id, status=5)
    assert "--partial" in refused.stderr
    partial = cloud.run("batch", "results", job_id, "--partial").stdout.splitlines()
    assert len(partial) < 100
    assert all(row.endswith(",x") for row in partial)


def test_a_job_whose_hooks_do_not_load_fails_with_their_lines(
    cloud: Cloud, model_id: str, tmp_path: Path
) -> None:
    hook = tmp_path / "inference.py"
    hook.write_text("import no_such_module\n")
    volume = cloud.ask("volume", "upload", str(digit_files()[0]))
    job_id = cloud.run(
        "batch", "predict", model_id, str(volume["id"]), "-f", str(hook), "-o", "id"
    ).stdout.strip()
    until(lambda: cloud.ask("batch", "show", job_id)["status"] == "Failed")
    assert "import no_such_module" in cloud.ask("batch", "show", job_id)["failure"]["trace"]


def test_a_file_that_kills_the_hook_is_one_error_row(
    cloud: Cloud, model_id: str, tmp_path: Path
) -> None:
    hook = tmp_path / "inference.py"
    hook.write_text(
        "import os\n"
        "def preprocess(input, model):\n"
        "    if input == b'poison':\n        os._exit(1)\n"
        "    return input\n"
        "def predict(data, model):\n    return data\n"
        "def postprocess(output, raw_input):\n    return 'ok'\n"
    )
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:02}.txt").write_bytes(b"poison" if number == 7 else b"fine")
    volume = cloud.ask("volume", "upload", str(folder))
    done = cloud.run(
        "batch",
        "predict",
        model_id,
        str(volume["id"]),
        "-f",
        str(hook),
        "--wait",
        "-o",
        "id",
        status=10,
    )
    rows = rows_of(cloud, done.stdout.strip())
    assert [row[0] for row in rows if not row[1]] == ["07.txt"]
    assert "hook_crashed" in rows[7][2]
    assert sum(row[1] == "ok" for row in rows) == 19
    hook.write_text(hook.read_text().replace("os._exit(1)", "return b'mended'"))
    again = cloud.ask("batch", "retry", done.stdout.strip(), "--failed", "-f", str(hook), "--wait")
    assert (again["status"], again["succeeded"]) == ("Completed", 20)
    assert rows_of(cloud, again["id"]) == [[row[0], "ok"] for row in rows]
    assert cloud.ask("batch", "verify", str(again["id"]))["problems"] == []


def test_every_record_of_a_large_file_is_a_row(cloud: Cloud, model_id: str, tmp_path: Path) -> None:
    hook = tmp_path / "inference.py"
    hook.write_text(
        "import json\n"
        "def preprocess(input, model):\n    return json.loads(input)['n']\n"
        "def predict(data, model):\n    return data * 2\n"
        "def postprocess(output, raw_input):\n    return output\n"
    )
    (tmp_path / "many.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(5000)))
    volume = cloud.ask("volume", "upload", str(tmp_path / "many.jsonl"))
    asked = ("batch", "predict", model_id, str(volume["id"]), "-f", str(hook), "--wait")
    job = cloud.ask(*asked, "--split", "lines", "--output-format", "jsonl", "--join-input")
    assert (job["status"], job["total"]) == ("Completed", 5000)
    lines = cloud.run("batch", "results", str(job["id"])).stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"path": f"many.jsonl#{n + 1}", "output": 2 * n, "input": {"n": n}} for n in range(5000)
    ]
    assert cloud.ask("batch", "verify", str(job["id"]))["problems"] == []


def drops_of(cloud: Cloud, volume_id: Any, files: int) -> list[dict[str, Any]]:
    """The history of a watched volume, once that many files have their job."""

    def all_there() -> list[dict[str, Any]]:
        history = [
            drop
            for drop in cloud.ask("volume", "triggers", str(volume_id), "--history")
            if drop["job_id"]
        ]
        return history if len(history) >= files else []

    return list(until(all_there, 20))


def finished(cloud: Cloud, job_ids: set[int]) -> list[list[str]]:
    def all_completed() -> bool:
        shown = [cloud.ask("batch", "show", str(job_id)) for job_id in job_ids]
        return all(job["status"] == "Completed" for job in shown)

    until(all_completed)
    return sorted(row for job_id in job_ids for row in rows_of(cloud, job_id))


def test_files_that_land_in_a_watched_folder_become_jobs_once(
    cloud: Cloud, model_id: str, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    shutil.copy(digit_files()[0], inbox / "before.png")
    volume = cloud.ask("volume", "link", str(inbox))
    cloud.run("volume", "watch", str(volume["id"]), "--model", model_id, *CLASSIFY)
    for image in sorted((DIGITS / "drops").glob("*.png")):
        shutil.copy(image, inbox)
    with (inbox / "half.png").open("wb") as slow:
        slow.write(digit_files()[1].read_bytes()[:50])
        slow.flush()
        drops = drops_of(cloud, volume["id"], 5)
        time.sleep(2)  # long enough for the half-written file to have been taken, if it would be
        assert {drop["name"] for drop in drops_of(cloud, volume["id"], 5)} == {
            path.name for path in (DIGITS / "drops").glob("*.png")
        }
        slow.write(digit_files()[1].read_bytes()[50:])
    drops = drops_of(cloud, volume["id"], 6)
    assert len(drops) == 6
    rows = finished(cloud, {drop["job_id"] for drop in drops})
    assert [row[0] for row in rows] == sorted(drop["name"] for drop in drops)
    cloud.run("volume", "unwatch", str(volume["id"]))


def test_files_uploaded_or_copied_into_a_watched_volume_become_jobs(
    cloud: Cloud, model_id: str
) -> None:
    volume = cloud.ask("volume", "upload", str(digit_files()[0]))
    volume_id = str(volume["id"])
    cloud.run("volume", "watch", volume_id, "--model", model_id)
    cloud.run("volume", "upload", str(digit_files()[1]), "-i", volume_id)
    location = cloud.ask("volume", "show", volume_id)["location"]
    shutil.copy(digit_files()[2], unquote(urlsplit(location).path))
    drops = drops_of(cloud, volume_id, 2)
    assert {drop["name"] for drop in drops} == {path.name for path in digit_files()[1:3]}
    cloud.run("volume", "unwatch", volume_id)


def test_a_batch_is_exact_when_messages_are_duplicated_reordered_and_delayed(
    tmp_path: Path,
) -> None:
    with running(tmp_path / "home", HOOKLINE_CHAOS="7") as cloud:
        model = cloud.ask("model", "import", f"{DIGITS}/digits.onnx", "--name", "digits")
        stream = cloud.ask("model", "deploy", str(model["id"]), *CLASSIFY, "--wait")
        image = digit_files()[0]
        assert cloud.predict(stream["presigned_token"], image.read_bytes()).status_code == 200
        volume = cloud.ask("volume", "upload", f"{DIGITS}/images")
        job = cloud.ask(
            "batch", "predict", str(model["id"]), str(volume["id"]), *CLASSIFY, "--wait"
        )
        assert [name for name, _ in rows_of(cloud, job["id"])] == sorted(TRUTH)
