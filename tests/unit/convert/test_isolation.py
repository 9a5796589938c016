"""A step of a conversion in its process: what it cannot see, and where it is stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookline.convert.isolation import Bench
from hookline.convert.job import Job, Result
from hookline.core.errors import DeadlineExceeded, HooklineError, InvalidModel
from hookline.runtime.sandbox import probe

STEPS = """
import os, socket, time
from pathlib import Path
from hookline.convert.job import Result

def run(job):
    return Result(tool=str(globals()[job.details["do"]](job)))

def write(job):
    (Path(job.folder) / "model.onnx").write_bytes(b"x")
    return Path(job.source).read_text()

def look(job):
    secret = Path(job.details["secret"])
    return secret.read_text() if secret.exists() else "nothing"

def spoil(job):
    Path(job.source).write_text("spoilt")

def call(job):
    socket.create_connection(("127.0.0.1", job.details["port"]), timeout=5)

def sleep(job):
    time.sleep(600)

def hoard(job):
    return len(bytearray(3 << 30))

def crash(job):
    os.kill(os.getpid(), 11)

def fail(job):
    raise ValueError("no such layer")
"""
sandboxed = pytest.mark.skipif(probe() == "none", reason="The machine has no namespaces.")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "hostile_steps.py").write_text(STEPS)
    return folder


def do(name: str, site: Path, bench: Bench | None = None, **details: object) -> Result:
    root = site.parent
    folder = root / "work"
    folder.mkdir(exist_ok=True)
    source = root / "model.bin"
    source.write_text("weights")
    bench = bench or Bench("auto", (root,))
    job = Job("hostile_steps", str(source), str(folder), details={"do": name, **details})
    return bench.run(job, source, site=site)


def test_a_step_reads_the_model_and_writes_into_its_folder(site: Path) -> None:
    assert do("write", site).tool == "weights"
    assert (site.parent / "work" / "model.onnx").read_bytes() == b"x"


@sandboxed
def test_a_step_does_not_see_what_is_hidden(site: Path) -> None:
    secret = site.parent / "secret.txt"
    secret.write_text("hk_secret")
    assert do("look", site, secret=str(secret)).tool == "nothing"


@sandboxed
def test_a_step_cannot_change_the_model(site: Path) -> None:
    with pytest.raises(InvalidModel, match="OSError"):
        do("spoil", site)
    assert (site.parent / "model.bin").read_text() == "weights"


@sandboxed
def test_a_step_reaches_no_network(site: Path) -> None:
    import socket  # noqa: PLC0415 - only this test listens

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        with pytest.raises(InvalidModel, match="OSError"):
            do("call", site, port=server.getsockname()[1])
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_step_that_takes_too_long_is_ended(site: Path) -> None:
    with pytest.raises(DeadlineExceeded, match="longer than 2 s"):
        do("sleep", site, Bench("auto", (site.parent,), timeout_s=2.0))


def test_a_step_that_wants_too_much_memory_says_so(site: Path) -> None:
    bench = Bench("auto", (site.parent,), max_memory_bytes=1 << 30)
    with pytest.raises(InvalidModel, match="more memory"):
        do("hoard", site, bench)


def test_a_step_that_crashes_is_told_by_its_signal(site: Path) -> None:
    with pytest.raises(InvalidModel, match="died with SIGSEGV"):
        do("crash", site)


def test_what_a_converter_raises_becomes_a_sentence(site: Path) -> None:
    with pytest.raises(HooklineError, match="ValueError: no such layer"):
        do("fail", site)
