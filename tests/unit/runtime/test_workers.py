"""Several workers on one port, as real processes."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.processes import line, until_killed
from tests.prometheus import parsed
from tests.replicas import launch_spec, until

WHO = """
import os, time

def init(prm):
    return object()

def preprocess(input, model):
    return input

def predict(data, model):
    if data == b"die":
        os._exit(7)
    time.sleep(0.01)
    return data

def postprocess(output, raw_input):
    return str(os.getpid())
"""

SERVE = """
import sys
from pathlib import Path
from hookline.core.errors import HooklineError
from hookline.runtime import spec, workers
try:
    status = workers.serve_workers(
        spec.read(Path(sys.argv[1])), 2, on_ready=lambda url: print(url, flush=True)
    )
except HooklineError as error:
    print(error.code, error.trace, flush=True)
    status = 9
sys.exit(status)
"""


@contextlib.contextmanager
def workers(folder: Path, hooks: str = WHO) -> Iterator[subprocess.Popen[str]]:
    path = launch_spec(folder, hooks, unix_socket="", port=0)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(path)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with until_killed(process):
        yield process


def who_answers(url: str, count: int = 40) -> set[str]:
    """The workers that answer `count` clients."""
    return {httpx2.post(f"{url}/predict", content=b"x").text for _ in range(count)}


def test_clients_are_shared_out(tmp_path: Path) -> None:
    with workers(tmp_path / "r") as process:
        url = line(process)

        assert len(who_answers(url)) == 2

        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    with workers(tmp_path / "r") as process:
        url = line(process)
        before = who_answers(url)

        with pytest.raises(httpx2.HTTPError):
            httpx2.post(f"{url}/predict", content=b"die")

        log = tmp_path / "r" / "log"
        until(lambda: log.read_text().count("replica_ready") == 3, "another worker")
        after = who_answers(url)
        assert len(after) == 2
        assert len(after & before) == 1
        (died,) = [
            json.loads(line) for line in log.read_text().splitlines() if "worker_died" in line
        ]
        assert died["status"] == 7


def test_one_that_cannot_load_ends_all_with_its_message(tmp_path: Path) -> None:
    hooks = f"""
import fcntl
file = open({str(tmp_path / "lock")!r}, "w")
fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the second one fails
{WHO}"""
    with workers(tmp_path / "r", hooks) as process:
        told = line(process)

        assert told.startswith("hook_failed")
        assert process.wait(20) == 9
        rest = process.stdout.read() if process.stdout else ""
        assert "BlockingIOError" in rest


def test_a_drain_of_all_under_load_drops_nothing(tmp_path: Path) -> None:
    def keep_asking(url: str, process: subprocess.Popen[str]) -> list[int]:
        statuses: list[int] = []
        with httpx2.Client(verify=False) as client:
            while process.poll() is None:
                answer = client.post(f"{url}/predict", content=b"x")
                statuses.append(answer.status_code)
                if answer.headers.get("connection") == "close":
                    break
                if len(statuses) == 10 and not told:
                    told.append(True)
                    process.send_signal(signal.SIGTERM)
        return statuses

    told: list[bool] = []
    with workers(tmp_path / "r") as process:
        url = line(process)
        with ThreadPoolExecutor(4) as pool:
            running = [pool.submit(keep_asking, url, process) for _ in range(4)]
            statuses = [status for future in running for status in future.result()]
        assert process.wait(20) == 0

    assert set(statuses) == {200}


def test_workers_die_with_their_supervisor(tmp_path: Path) -> None:
    with workers(tmp_path / "r") as process:
        url = line(process)
        pids = [int(pid) for pid in who_answers(url)]

        process.kill()
        process.wait()

        until(lambda: not any(_is_running(pid) for pid in pids), "their end")


def _is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_whichever_worker_is_asked_counts_the_answers_of_all(tmp_path: Path) -> None:
    with workers(tmp_path / "r") as process:
        url = line(process)
        assert len(who_answers(url, 40)) == 2

        def counts() -> list[float]:
            texts = [httpx2.get(f"{url}/metrics").text for _ in range(8)]
            return [sum(parsed(text)["hookline_requests_total"].values()) for text in texts]

        until(lambda: counts() == [40.0] * 8, "the same answer from all")
        batches = parsed(httpx2.get(f"{url}/metrics").text)["hookline_batch_items_sum"]
        assert list(batches.values()) == [40.0]
