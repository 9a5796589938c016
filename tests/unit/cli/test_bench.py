"""`hookline bench` against a small server in a thread."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_api import FakeApi

SHORT = ("--warmup", "0", "--duration", "0.05")


class Handler(BaseHTTPRequestHandler):
    """Refuses who has no token; `asked` are the requests that were good."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str, bytes]]
    slow_s: float

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_good = self.headers.get("Authorization") == "Bearer secret"
        if is_good:
            self.asked.append((self.path, self.headers["Content-Type"], body))
        problem = b'{"code": "unauthenticated", "title": "The token is missing or wrong."}'
        time.sleep(Handler.slow_s)
        answer = b"{}" if is_good else problem
        self.send_response(200 if is_good else 401)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked, Handler.slow_s = [], 0.0
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_each_level_is_measured(server: str, hookline: Call, tmp_path: Path) -> None:
    table, page = tmp_path / "r.csv", tmp_path / "r.html"
    options = ("--token", "secret", "--shape", "4", "--concurrency", "1,3", *SHORT, "-o", "json")
    files = ("--csv", str(table), "--html", str(page))
    result = hookline("bench", server, *options, *files)

    one, three = json.loads(result.stdout)
    assert (one["concurrency"], three["concurrency"]) == (1, 3)
    assert one["failed"] == three["failed"] == 0
    assert 0 < one["p50_ms"] <= one["p99_ms"] <= one["max_ms"]
    assert len(list(csv.reader(table.read_text().splitlines()))) == 3
    assert page.read_text().startswith("<!doctype html>")
    assert "window 1" in result.stderr
    path, mime_type, body = Handler.asked[0]
    assert (path, mime_type, len(json.loads(body))) == ("/predict", "application/json", 4)


def test_files_are_sent_in_turn_at_a_rate(server: str, hookline: Call, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    inputs = [part for name in ("a", "b") for part in ("--input", str(tmp_path / f"{name}.png"))]
    options = ("--token", "secret", "--rate", "200", "--warmup", "0", "--duration", "0.3")
    [level] = json.loads(hookline("bench", f"{server}/x", *inputs, *options, "-o", "json").stdout)
    assert (level["loop"], level["rate_per_s"]) == ("open", 200)
    assert {each[:2] for each in Handler.asked} == {("/x", "image/png")}
    assert {each[2] for each in Handler.asked} == {b"a", b"b"}


def test_a_missed_goal_is_an_exit_code(server: str, hookline: Call) -> None:
    options = ("--token", "secret", "--shape", "4", *SHORT)
    met = hookline("bench", server, *options, "--slo", "p99=60s")
    assert "goal 60000 ms met" in met.stderr
    missed = hookline("bench", server, *options, "--slo", "p50=0.000001ms")
    assert missed.exit_code == 1
    assert "missed" in missed.stderr
    assert "concurrency" in missed.stdout


def test_a_target_that_refuses_says_so_before_anything_is_measured(
    server: str, hookline: Call
) -> None:
    result = hookline("bench", server, "--shape", "4")
    assert result.exit_code == 4
    assert "The token is missing or wrong." in result.stderr
    assert "--token" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "either --input FILE or --shape"),
        (("--shape", "4", "--input", "x"), "either --input FILE or --shape"),
        (("--shape", "4", "--rate", "1", "--concurrency", "1"), "--concurrency or --rate"),
        (("--shape", "4", "--concurrency", "1.5"), "whole numbers"),
        (("--shape", "x"), "is not a shape"),
        (("--shape", "4", "--rate", "0"), "neither"),
        (("--shape", "4", "--concurrency", "1,4097"), "at most 4096"),
        (("--shape", "4", "--slo", "fast"), "is not a goal"),
    ],
)
def test_what_does_not_fit_is_said(hookline: Call, options: tuple[str, ...], said: str) -> None:
    result = hookline("bench", "http://127.0.0.1:1", *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_window_lasts_until_something_is_answered(server: str, hookline: Call) -> None:
    Handler.slow_s = 0.3
    options = ("--token", "secret", "--shape", "4", "--warmup", "0", "--duration", "0.05")
    result = hookline("bench", server, *options, "-o", "json")
    [level] = json.loads(result.stdout)
    assert level["p50_ms"] >= 300


@pytest.mark.parametrize("option", ["--csv", "--html"])
def test_a_report_that_cannot_be_written_is_told_before_anything_is_measured(
    server: str, hookline: Call, tmp_path: Path, option: str
) -> None:
    place = str(tmp_path / "nowhere" / "report")
    result = hookline("bench", server, "--token", "secret", "--shape", "4", option, place)

    assert result.exit_code == 3
    assert "There is no folder" in result.stderr
    assert not Handler.asked


def test_a_stream_by_its_id_needs_its_token(hookline: Call) -> None:
    result = hookline("bench", "23", "--shape", "4")
    assert result.exit_code == 2
    assert "--token TOKEN" in result.stderr


def test_a_replica_is_asked_straight_and_gets_no_token(
    api: FakeApi, hookline: Call, tmp_path: Path
) -> None:
    Handler.asked, Handler.slow_s = [], 0.0
    place = str(tmp_path / "replica.sock")
    api.streams[1] = {"id": 1, "model_id": 2, "status": "Running", "addresses": [f"unix:{place}"]}
    with ThreadingUnixStreamServer(place, Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        options = ("--direct", "--token", "secret", "--shape", "4", *SHORT)
        result = hookline("bench", "1", *options)
        server.shutdown()
        thread.join()
    assert Handler.asked == []
    assert "The token is missing or wrong." in result.stderr


def test_a_stream_without_a_replica_here_is_not_asked_straight(
    api: FakeApi, hookline: Call
) -> None:
    api.streams[1] = {"id": 1, "model_id": 2, "status": "Running"}
    assert "None runs on this machine" in hookline("bench", "1", "--direct", "--shape", "4").stderr
    assert hookline("bench", "secret", "--direct", "--shape", "4").exit_code == 2


def test_sigterm_ends_a_measurement(server: str) -> None:
    options = ("--token", "secret", "--shape", "4", "--window", "0.05", "--max-windows", "100000")
    command = [str(Path(sys.executable).with_name("hookline")), "bench", server, *options]
    endless = ("--stability", "0.1", "--warmup", "0")
    with subprocess.Popen([*command, *endless], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "window 1" in process.stderr.readline()
        process.terminate()
        try:
            process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGTERM


def test_ctrl_c_prints_what_was_measured_so_far(server: str) -> None:
    options = ("--token", "secret", "--shape", "4", "--window", "0.05", "--max-windows", "100000")
    command = [str(Path(sys.executable).with_name("hookline")), "bench", server, *options]
    endless = ("--stability", "0.1", "--warmup", "0")  # windows that agree so well are none
    with subprocess.Popen(
        [*command, *endless], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "window 1" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        table, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert table.splitlines()[1].split("|")[1].strip() == "1"
    assert "not stable" in said
    assert "measured so far" in said
