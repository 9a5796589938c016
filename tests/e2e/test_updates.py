"""A stream gets another version while requests go on, and none is refused."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.e2e.cloud import DIGITS, Cloud, until

IMAGE = (DIGITS / "images" / "000.png").read_bytes()


def hook(folder: Path, name: str, first: str = "") -> str:
    path = folder / name / "inference.py"
    path.parent.mkdir()
    path.write_text(f"{first}\ndef postprocess(output, raw_input):\n    return {name!r}\n")
    return str(path)


@contextmanager
def constant_load(cloud: Cloud, token: str) -> Iterator[Counter[tuple[int, str]]]:
    """Four callers that never pause; counts status and answer."""
    seen: Counter[tuple[int, str]] = Counter()
    enough, lock = threading.Event(), threading.Lock()

    def ask() -> None:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "image/png"}
        with httpx2.Client(timeout=60) as caller:
            while not enough.is_set():
                answer = caller.post(f"{cloud.endpoint}/predict", content=IMAGE, headers=headers)
                with lock:
                    seen[answer.status_code, answer.text.strip().strip('"')] += 1

    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            yield seen
        finally:
            enough.set()
        for one in asking:
            one.result()


def test_an_update_refuses_no_request(cloud: Cloud, model_id: str, tmp_path: Path) -> None:
    first, second = hook(tmp_path, "first"), hook(tmp_path, "second")
    broken = hook(tmp_path, "broken", "raise ValueError('no')")
    stream = cloud.ask("model", "deploy", model_id, "-f", first, "--replicas", "2", "--wait")
    stream_id = str(stream["id"])
    processes = replicas(cloud)
    with constant_load(cloud, stream["presigned_token"]) as seen:
        until(lambda: seen[200, "first"] > 20)
        cloud.run("stream", "update", stream_id, "-f", second, "--wait")
        until(lambda: seen[200, "second"] > 20)
        before = seen[200, "first"]
        failed = cloud.run("stream", "update", stream_id, "-f", broken, "--wait", status=8)
        until(lambda: replicas(cloud) == processes)  # the first version has drained
    assert "answers as before" in failed.stderr
    assert "ValueError" in failed.stderr
    assert set(seen) == {(200, "first"), (200, "second")}
    assert seen[200, "first"] == before
    shown = cloud.ask("stream", "show", stream_id)
    assert (shown["status"], shown["ready_replicas"]) == ("Running", 2)


def replicas(cloud: Cloud) -> int:
    """How many processes the replicas have together."""
    found = 0
    for pid in cloud.processes():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        found += b"hookline.runtime.replica" in command
    return found
