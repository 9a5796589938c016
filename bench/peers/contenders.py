"""Everything that takes part: started as its users would, and asked until it answers right."""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import work
from bench.cloud import up
from bench.load import post
from bench.machine import ROOT, tree
from bench.peers.definitions import Peer, Question
from bench.predict import session
from bench.servers import free_port, serve, started
from bench.workloads import Workload

ECHO, REPLICA = "echo (the limit)", "hookline serve"
GATEWAY, HOOKS = "hookline, through the gateway", "hookline serve, with hooks"
_HOOKS = '''"""What the other servers do with numbers, as hooks."""

import msgspec
import numpy as np


def preprocess(input, model):
    return np.array(msgspec.json.decode(input), np.float32)


def postprocess(output, raw_input):
    return msgspec.json.encode({"outputs": output.tolist()})
'''
_START_S, _ANSWER_S, _POLL_S = 120.0, 20.0, 0.02


class Failed(Exception):
    """It did not start, or gave a wrong answer."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. `first_s` is from its start to its first right answer."""

    pid: int
    port: int
    request: bytes
    first_s: float


Run = Callable[[Workload, str, Path, Path], AbstractContextManager[Running]]


@dataclass(frozen=True, slots=True)
class Contender:
    """`run` gets one of the workloads, its short name, the model's file and a scratch folder."""

    name: str
    run: Run
    workloads: frozenset[str] = frozenset(work.DECODE)


def echo() -> Contender:
    @contextmanager
    def run(workload: Workload, name: str, model: Path, scratch: Path) -> Iterator[Running]:
        port, began_s = free_port(), time.perf_counter()
        command = [sys.executable, "-m", "bench.echo_server", name, str(model), str(port)]
        with started(command, log=scratch / "log") as process:
            yield answered(
                process.pid, port, Question("/", workload.body, workload.content_type), "",
                workload, model, began_s,
            )  # fmt: skip

    return Contender(ECHO, run)


def ours() -> tuple[Contender, ...]:
    """hookline's own: alone, with hooks of Python, and through the gateway."""
    return Contender(REPLICA, _replica), Contender(HOOKS, _hooked, frozenset({"w1"})), _gateway()


@contextmanager
def _replica(
    workload: Workload, _: str, model: Path, scratch: Path, *flags: str
) -> Iterator[Running]:
    began_s = time.perf_counter()
    with serve(model, scratch, *workload.flags, *flags) as server:
        question = Question("/predict", workload.body, workload.content_type)
        yield answered(server.pid, server.port, question, server.token, workload, model, began_s)


@contextmanager
def _hooked(workload: Workload, name: str, model: Path, scratch: Path) -> Iterator[Running]:
    hooks = scratch / "inference.py"
    hooks.write_text(_HOOKS, encoding="utf-8")
    with _replica(workload, name, model, scratch, "--hooks", str(hooks)) as running:
        yield running


def _gateway() -> Contender:
    @contextmanager
    def run(workload: Workload, _: str, model: Path, scratch: Path) -> Iterator[Running]:
        with up(scratch) as cloud:
            imported = cloud.ask("model", "import", str(model), "--name", "bench")
            began_s = time.perf_counter()
            deployed = cloud.ask("model", "deploy", str(imported["id"]), "--wait", *workload.flags)
            token = deployed["presigned_token"]
            port = int(cloud.endpoint.rpartition(":")[2])
            question = Question("/predict", workload.body, workload.content_type)
            yield answered(cloud.pid, port, question, token, workload, model, began_s)

    return Contender(GATEWAY, run)


def peer(definition: Peer, folder: Path) -> Contender:
    @contextmanager
    def run(workload: Workload, name: str, model: Path, scratch: Path) -> Iterator[Running]:
        port = free_port()
        start = definition.start(folder, name, port, scratch)
        environ = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "HOME": str(scratch),
            "PYTHONPATH": str(ROOT),
            "BENCH_WORKLOAD": name,
            "BENCH_MODEL": str(model),
            **start.environ,
        }
        log = scratch / "log"
        began_s = time.perf_counter()
        with started(start.command, environ, log) as process:
            try:
                yield answered(
                    process.pid, port, definition.ask(workload), "", workload, model, began_s
                )
            except Failed as error:
                raise Failed(f"{error} {_last_words(log)}") from error
            finally:
                _end(process.pid)

    return Contender(definition.name, run)


def answered(
    pid: int,
    port: int,
    question: Question,
    token: str,
    workload: Workload,
    model: Path,
    began_s: float,
) -> Running:
    """Ask until the answer is right. Raise Failed."""
    wanted = session(model).run(None, {"x": workload.decode(workload.body)})[0][0]
    headers = {"Content-Type": question.content_type, **question.headers}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    url = f"http://127.0.0.1:{port}{question.path}"
    asked = urllib.request.Request(url, data=question.body, headers=headers)
    said = b""
    while time.perf_counter() - began_s < _START_S:
        try:
            with urllib.request.urlopen(asked, timeout=_ANSWER_S) as answer:
                said = answer.read()
            if workload.is_right(question.unwrapped(said), wanted):
                request = post(
                    question.path, question.body, question.content_type, token, question.headers
                )
                return Running(pid, port, request, time.perf_counter() - began_s)
            raise Failed(f"A wrong answer: {said[:200]!r}.")
        except urllib.error.HTTPError as error:
            said = error.read()[:200]
        except OSError as error:
            said = str(error).encode()
        time.sleep(_POLL_S)
    raise Failed(f"No answer within {_START_S:g} s: {said!r}.")


def _end(pid: int) -> None:
    """Stop it with all that it started: some leave processes behind."""
    all_of_it = tree(pid)
    os.kill(pid, signal.SIGTERM)
    deadline_s = time.monotonic() + _ANSWER_S
    while time.monotonic() < deadline_s and any(_is_alive(each) for each in all_of_it):
        time.sleep(_POLL_S)
    for each in all_of_it:
        if _is_alive(each):
            os.kill(each, signal.SIGKILL)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _last_words(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").split())[-300:]
