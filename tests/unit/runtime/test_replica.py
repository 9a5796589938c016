"""A replica is a process: what it promises is checked on real processes and raw sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Semaphore
from typing import Literal

import httpx2
import pytest

from hookline.core.errors import Unavailable
from hookline.core.secrets import digest
from hookline.runtime.listening import listening
from hookline.runtime.spec import SandboxSpec, ServerSpec
from tests.replicas import ECHO, Process, launch_spec, post, read_answer, replica, until


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Process]:
    with replica(tmp_path) as process:
        process.wait_ready()
        yield process


def ask(process: Process, body: bytes, *headers: str) -> tuple[int, bytes]:
    with process.connect() as connection:
        connection.sendall(post(body, *headers))
        return read_answer(connection)


def test_a_replica_answers_on_its_unix_socket(echo: Process) -> None:
    assert ask(echo, b"hello") == (200, b"hello")


def test_only_the_owner_may_connect_to_the_socket(echo: Process) -> None:
    assert echo.socket_path.stat().st_mode & 0o777 == 0o600


def test_port_0_takes_a_free_port_and_the_ready_file_names_it(tmp_path: Path) -> None:
    with replica(tmp_path, unix_socket="", port=0) as process:
        url = process.wait_ready()

        answer = httpx2.post(f"{url}/predict", content=b"hello")

        assert answer.text == "hello"
        assert url in {line.get("url") for line in process.log}


def test_a_token_is_asked_for_when_the_spec_has_one(tmp_path: Path) -> None:
    token = "ab" * 32
    with replica(tmp_path, token_sha256=(digest(token),)) as process:
        process.wait_ready()

        assert ask(process, b"hello")[0] == 401
        assert ask(process, b"hello", "Authorization: Bearer " + "0" * 64)[0] == 401
        assert ask(process, b"hello", f"Authorization: Bearer {token}") == (200, b"hello")


def test_while_loading_the_socket_answers_503_and_says_when_to_retry(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    hooks = f"""
import os, time
while not os.path.exists({str(gate)!r}):
    time.sleep(0.01)
{ECHO}"""
    with replica(tmp_path / "r", hooks) as process:
        until(process.socket_path.exists, "the socket")
        transport = httpx2.HTTPTransport(uds=str(process.socket_path))
        with httpx2.Client(transport=transport, base_url="http://replica") as client:
            for answer in (client.get("/ping"), client.post("/predict", content=b"x")):
                assert answer.status_code == 503
                assert answer.json()["code"] == "not_ready"
                assert answer.headers["retry-after"] == "1"
            assert not process.ready_file.exists()

            gate.touch()
            process.wait_ready()

            assert client.get("/ping").status_code == 200


def test_a_hook_that_fails_to_import_ends_the_replica_with_its_own_traceback(
    tmp_path: Path,
) -> None:
    with replica(tmp_path, "import json\n\njson.no_such_thing\n") as process:
        assert process.popen.wait(20) == 3

        failure = json.loads(process.failure_file.read_text())
        assert failure["code"] == "hook_failed"
        assert "no_such_thing" in failure["trace"]
        assert "inference.py" in failure["trace"]
        assert not process.ready_file.exists()
        (line,) = [line for line in process.log if line["event"] == "replica_failed"]
        assert "no_such_thing" in line["trace"]


def test_a_socket_path_that_is_too_long_is_refused_by_name(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    with replica(tmp_path / "r", unix_socket=str(long)) as process:
        assert process.popen.wait(20) == 3

        failure = json.loads(process.failure_file.read_text())
        assert "107 bytes" in failure["message"]


def test_a_port_in_use_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        spec = ServerSpec(port=taken.getsockname()[1])
        with pytest.raises(Unavailable, match="Cannot listen"), listening(spec):
            pass


def test_a_body_over_the_limit_is_refused_and_the_connection_goes_on(tmp_path: Path) -> None:
    with replica(tmp_path, max_body_bytes=1000) as process:
        process.wait_ready()
        with process.connect() as connection:
            connection.sendall(post(bytes(8_000_000)))
            status, body = read_answer(connection)
            assert (status, json.loads(body)["code"]) == (413, "too_large")

            connection.sendall(post(b"small"))
            assert read_answer(connection) == (200, b"small")


def test_a_client_that_stops_in_the_middle_of_its_body_is_cut_off(tmp_path: Path) -> None:
    with replica(tmp_path, request_timeout_s=0.2) as process:
        process.wait_ready()
        with process.connect() as connection:
            connection.sendall(post(b"0123456789")[:-5])
            status, body = read_answer(connection)

            assert (status, json.loads(body)["code"]) == (504, "deadline_exceeded")
            assert connection.recv(1) == b""


def test_a_drain_answers_what_is_queued_and_exits_0(tmp_path: Path) -> None:
    with replica(tmp_path, max_batch_items=1) as process:
        process.wait_ready()
        connections = [process.connect() for _ in range(12)]
        for number, connection in enumerate(connections):
            connection.sendall(post(b"sleep 0.05 %d" % number))

        process.popen.send_signal(signal.SIGTERM)

        answers = [read_answer(connection) for connection in connections]
        assert answers == [(200, b"sleep 0.05 %d" % n) for n in range(12)]
        assert process.popen.wait(10) == 0
        assert not process.socket_path.exists()
        for connection in connections:
            connection.close()


def test_a_request_on_an_idle_connection_just_after_sigterm_is_answered(echo: Process) -> None:
    with echo.connect() as connection:
        connection.sendall(post(b"one"))
        assert read_answer(connection) == (200, b"one")

        echo.popen.send_signal(signal.SIGTERM)
        until(lambda: any(line["event"] == "replica_draining" for line in echo.log), "draining")
        connection.sendall(post(b"two"))

        assert read_answer(connection) == (200, b"two")
        assert connection.recv(1) == b""  # hung up after the answer
    assert echo.popen.wait(10) == 0


def _keep_asking(url: str, process: Process, is_under_way: Semaphore) -> list[tuple[int, str]]:
    """Ask on one connection until the replica hangs up after an answer; every answer counts."""
    answers: list[tuple[int, str]] = []
    with httpx2.Client(limits=httpx2.Limits(max_connections=1), verify=False) as client:
        while process.popen.poll() is None:
            answer = client.post(f"{url}/predict", content=b"sleep 0.002")
            answers.append((answer.status_code, answer.text))
            if len(answers) == 3:
                is_under_way.release()
            if answer.headers.get("connection") == "close":
                break
    return answers


@pytest.mark.parametrize("_attempt", range(3))
def test_a_drain_under_load_drops_nothing(tmp_path: Path, _attempt: int) -> None:
    is_under_way = Semaphore(0)
    with replica(tmp_path, unix_socket="", port=0) as process:
        url = process.wait_ready()
        with ThreadPoolExecutor(8) as pool:
            running = [pool.submit(_keep_asking, url, process, is_under_way) for _ in range(8)]
            assert all(is_under_way.acquire(timeout=20) for _ in running)
            process.popen.send_signal(signal.SIGTERM)
            answers = [answer for future in running for answer in future.result()]
        assert process.popen.wait(10) == 0

    assert len(answers) > 24
    assert set(answers) == {(200, "sleep 0.002")}


def test_a_second_sigterm_stops_at_once(echo: Process) -> None:
    with echo.connect() as connection:
        connection.sendall(post(b"sleep 60"))
        echo.popen.send_signal(signal.SIGTERM)
        until(lambda: any(line["event"] == "replica_draining" for line in echo.log), "draining")

        echo.popen.send_signal(signal.SIGTERM)

        assert echo.popen.wait(5) == 1


def test_a_drain_that_takes_too_long_says_so_and_ends(tmp_path: Path) -> None:
    with replica(tmp_path, drain_s=0.5) as process:
        process.wait_ready()
        with process.connect() as connection:
            connection.sendall(post(b"sleep 60"))
            process.popen.send_signal(signal.SIGTERM)

            status, body = read_answer(connection)

            assert (status, json.loads(body)["code"]) == (503, "not_ready")
        assert process.popen.wait(10) == 1
        assert process.log[-1]["event"] == "drain_timed_out"


def test_a_hook_that_never_ends_costs_its_caller_the_deadline_and_no_more(echo: Process) -> None:
    started_s = time.monotonic()

    status, body = ask(echo, b"sleep 1.5", "X-Request-Timeout-Ms: 100")

    assert (status, json.loads(body)["code"]) == (504, "deadline_exceeded")
    assert time.monotonic() - started_s < 1


def test_a_client_that_hangs_up_never_costs_another_one_its_answer(tmp_path: Path) -> None:
    with replica(tmp_path) as process:
        process.wait_ready()
        blocker = process.connect()
        blocker.sendall(post(b"sleep 0.3"))
        connections = [process.connect() for _ in range(60)]
        for number, connection in enumerate(connections):
            connection.sendall(post(b"sleep 0.002 %d" % number))
        for connection in connections[:15]:
            connection.close()  # while queued
        assert read_answer(blocker)[0] == 200
        for connection in connections[15:30]:
            connection.close()  # while in the running batch

        answers = [read_answer(connection) for connection in connections[30:]]

        assert answers == [(200, b"sleep 0.002 %d" % number) for number in range(30, 60)]
        for connection in (blocker, *connections[30:]):
            connection.close()


SERVE = """
import sys
from pathlib import Path
from typing import Literal
from hookline.runtime import replica, spec
sys.exit(replica.serve(spec.read(Path(sys.argv[1])), on_ready=lambda url: print(url, flush=True)))
"""


@pytest.mark.parametrize("mode", ["off", "auto"])
def test_ctrl_c_in_the_foreground_drains_once(tmp_path: Path, mode: Literal["off", "auto"]) -> None:
    path = launch_spec(tmp_path, sandbox=SandboxSpec(mode=mode), port=0, unix_socket="")
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(httpx2.post, f"{url}/predict", content=b"sleep 0.3")
        until(lambda: httpx2.get(f"{url}/ping").is_success, "ping")

        os.killpg(process.pid, signal.SIGINT)  # what a terminal does

        assert slow.result().text == "sleep 0.3"
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert log.count("replica_draining") == log.count("replica_drained") == 1


def test_a_replica_dies_with_its_parent(tmp_path: Path) -> None:
    code = """
import os, subprocess, sys, time
import msgspec
from pathlib import Path
from typing import Literal
from hookline.runtime import spec
from tests.replicas import launch_spec
path = launch_spec(Path(sys.argv[1]))
child = subprocess.Popen([sys.executable, "-m", "hookline.runtime.replica", str(path)])
print(child.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "r")], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    until((tmp_path / "r" / "run" / "ready").exists, "ready")

    parent.kill()
    parent.wait()
    parent.stdout.close()

    until(lambda: not _is_running(child), "the end of the replica")


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_replica_whose_parent_is_gone_already_does_not_start(tmp_path: Path) -> None:
    with replica(tmp_path / "r") as process:
        process.wait_ready()
        text = (tmp_path / "r" / "spec.json").read_text()
    path = tmp_path / "orphan.json"
    path.write_text(text.replace(f'"parent_pid":{os.getpid()}', '"parent_pid":1'))

    done = subprocess.run(
        [sys.executable, "-m", "hookline.runtime.replica", str(path)],
        capture_output=True,
        check=False,
    )

    assert done.returncode == 1
    assert b"parent" in done.stderr


LOOP = """
def init(prm):
    return object()

def preprocess(input, model):
    return input

def predict(data, model):
    if data == b"loop":
        while True:
            pass
    if data == b"hold the lock":
        import re
        re.match("(a+)+$", "a" * 60 + "b")
    return data

def postprocess(output, raw_input):
    return output
"""


@pytest.mark.parametrize("body", [b"loop", b"hold the lock"])
def test_a_replica_whose_hook_never_returns_ends_and_says_where(
    tmp_path: Path, body: bytes
) -> None:
    with replica(tmp_path, LOOP, request_timeout_s=0.3) as process:
        process.wait_ready()
        with process.connect() as connection:
            connection.sendall(post(body))
            assert process.popen.wait(20) == 1
        assert "in predict" in (tmp_path / "log").read_text()


def test_a_replica_that_is_idle_or_busy_with_short_calls_lives_on(tmp_path: Path) -> None:
    with replica(tmp_path, LOOP, request_timeout_s=0.1) as process:
        process.wait_ready()
        ends_at = time.monotonic() + 0.8  # several times what a stuck one is given
        with process.connect() as connection:
            while time.monotonic() < ends_at:
                connection.sendall(post(b"ok"))
                assert read_answer(connection) == (200, b"ok")
                time.sleep(0.05)
        assert process.popen.poll() is None
