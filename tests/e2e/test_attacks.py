"""Hostile callers and hostile hooks: refused or ended, and nobody else notices."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.e2e.cloud import DIGITS, Cloud, until

HOOKS = """
import ctypes, json, os, time

def init(prm):
    return object()

def preprocess(input, model):
    return input.decode()

def predict(word, model):
    home = os.environ["HOME"]
    if word == "die with a link":
        os.symlink("/etc/passwd", home + "/failure.json")
        os._exit(0)
    if word == "die with a pipe":
        os.mkfifo(home + "/failure.json")
        ctypes.string_at(0)
    if word == "close everything":
        os.closerange(0, 4096)
    if word == "leave a daemon" and os.fork() == 0:
        os.setsid()
        os.execvp("sleep", ["sleep", "600.25"])
    if word == "fork":
        for _ in range(100):
            if os.fork() == 0:
                time.sleep(600)
    if word == "print":
        for _ in range(200):
            print("x" * 100_000)
    if word == "slow":
        time.sleep(0.3)
    if word == "look":
        return json.dumps([found(home + "/../../" + name) for name in os.listdir("/code") + [
            "profile.toml", "secret", "catalog.db", "queue.db", "host.log"]])
    return word

def found(path):
    try:
        return open(path, "rb").read(64).hex()
    except OSError:
        return ""

def postprocess(output, raw_input):
    return output
"""


@pytest.fixture(scope="module")
def tokens(
    cloud: Cloud, model_id: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    """Of two streams with these hooks: the attacked one, and its neighbour."""
    hooks = tmp_path_factory.mktemp("hooks") / "inference.py"
    hooks.write_text(HOOKS)
    deploy = ("model", "deploy", model_id, "-f", str(hooks), "--wait")
    first, second = (str(cloud.ask(*deploy)["presigned_token"]) for _ in range(2))
    return first, second


@pytest.fixture
def neighbour(cloud: Cloud, tokens: tuple[str, str]) -> Iterator[None]:
    """After the test the other stream answers at once."""
    yield
    assert predict(cloud, tokens[1], "hello") == (200, "hello")


def predict(cloud: Cloud, token: str, word: str) -> tuple[int, str]:
    response = cloud.predict(token, word.encode(), "application/octet-stream")
    return response.status_code, response.text


def connect(cloud: Cloud) -> socket.socket:
    parts = urlsplit(cloud.endpoint)
    connection = socket.create_connection((str(parts.hostname), int(parts.port or 0)))
    connection.settimeout(5)
    return connection


def raw(cloud: Cloud, request: bytes) -> bytes:
    """What the server says first; empty when it only hangs up."""
    with connect(cloud) as connection:
        try:
            connection.sendall(request)
            return connection.recv(65536)
        except ConnectionError:
            return b""


def key(cloud: Cloud) -> str:
    text = (cloud.home / "profile.toml").read_text()
    return next(part for part in text.split('"') if part.startswith("hk_"))


HOST = b"Host: 127.0.0.1\r\n"
POST = b"POST /predict HTTP/1.1\r\n" + HOST


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        POST + b"Content-Length: 5,5\r\n\r\nabcde",
        POST + b"Content-Length: +5\r\n\r\nabcde",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 99999999999999999999\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n",
        POST + b"Host: evil.com\r\n\r\n",
        POST + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
        b"GET /ping HTTP/1.1\nHost: 127.0.0.1\n\n",
        b"GET /ping HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
        b"GET /ping HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
        b"GET /ping HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 10_000 + b"\r\n",
        b"GET /ping HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /ping HTTP/1.1\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1.nip.io\r\n\r\n",
        b"GET http://127.0.0.1/ping HTTP/1.1\r\nHost: evil.com\r\n\r\n",
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"BREW /ping HTTP/1.1\r\n" + HOST + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    ],
    ids=lambda request: repr(request[-40:]),
)
def test_a_malformed_request_is_a_bad_one(cloud: Cloud, request_: bytes) -> None:
    answer = raw(cloud, request_)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert httpx2.get(f"{cloud.endpoint}/ping").status_code == 200


def test_a_thousand_pipelined_requests_are_answered(cloud: Cloud) -> None:
    with connect(cloud) as connection:
        connection.sendall((b"GET /ping HTTP/1.1\r\n" + HOST + b"\r\n") * 1000)
        data = b""
        while data.count(b"HTTP/1.1 200") < 1000:
            data += connection.recv(1 << 20)


def test_odd_names_in_paths_and_queries_are_the_callers_fault(cloud: Cloud) -> None:
    odd = ("%00", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%c0%ae", "%ff", "9" * 30, "%D9%A3", "1%0a")
    routes = ("v1/models/{}", "v1/streams/{}/logs", "v1/volumes/{}/files", "v1/batches/{}/results")
    paths = [f"/{route.format(name)}" for route in routes for name in odd]
    paths += [f"/{place}/{name}" for place in ("blobs", "predictions", "v1/keys") for name in odd]
    paths += [f"/v1/streams/1/logs?after={after}" for after in ("-5", "9" * 30, str(2**63), "x")]
    with httpx2.Client(headers={"Authorization": f"Bearer {key(cloud)}"}) as client:
        for path in paths:
            for method in ("GET", "POST", "DELETE"):
                response = client.request(method, f"{cloud.endpoint}{path}")
                assert response.status_code < 500, (method, path, response.text)
                assert str(cloud.home) not in response.text


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize(
    "word", ["die with a link", "die with a pipe", "close everything", "leave a daemon", "fork"]
)
def test_a_hook_that_wrecks_its_process_gets_another_one(
    cloud: Cloud, tokens: tuple[str, str], word: str
) -> None:
    status, _ = predict(cloud, tokens[0], word)
    assert status in (200, 503)
    until(lambda: predict(cloud, tokens[0], "hello") == (200, "hello"))


@pytest.mark.usefixtures("neighbour")
def test_a_hook_that_prints_without_end_fills_no_disk(
    cloud: Cloud, tokens: tuple[str, str]
) -> None:
    assert predict(cloud, tokens[0], "print") == (200, "print")
    logs = cloud.home / "logs"
    assert sum(path.stat().st_size for path in logs.rglob("*.log")) < 20_000_000


def test_a_hook_does_not_see_what_the_platform_keeps(cloud: Cloud, tokens: tuple[str, str]) -> None:
    status, text = predict(cloud, tokens[1], "look")
    assert status == 200
    assert not any(json.loads(text))


def test_callers_that_vanish_cost_nobody_an_answer(cloud: Cloud, tokens: tuple[str, str]) -> None:
    body = b"slow"
    head = POST + f"Authorization: Bearer {tokens[1]}\r\nContent-Length: {len(body)}\r\n".encode()
    doomed = [connect(cloud) for _ in range(15)]
    with ThreadPoolExecutor(15) as pool:
        answers = []
        for connection in doomed:
            connection.sendall(head + b"Content-Type: application/octet-stream\r\n\r\n" + body)
            answers.append(pool.submit(predict, cloud, tokens[1], "slow"))
        for connection in doomed:
            connection.close()
        assert [answer.result() for answer in answers] == [(200, "slow")] * 15


def test_a_mutated_model_is_refused_or_runs(cloud: Cloud) -> None:
    good = (DIGITS / "digits.onnx").read_bytes()
    dice = random.Random(7)
    statuses = []
    for number in range(30):
        bad = bytearray(good[: dice.randrange(1, len(good))] if number % 3 == 0 else good)
        for _ in range(20):
            bad[dice.randrange(min(600, len(bad)))] = dice.randrange(256)
        statuses.append(import_model(cloud, f"m{number}", bytes(bad)))
    assert set(statuses) <= {201, 422}
    assert 422 in statuses
    assert httpx2.get(f"{cloud.endpoint}/ping").status_code == 200


def import_model(cloud: Cloud, name: str, data: bytes) -> int:
    """The status of the answer to the import."""
    announced = {"sha256": sha256(data).hexdigest(), "size_bytes": len(data)}
    with httpx2.Client(headers={"Authorization": f"Bearer {key(cloud)}"}) as client:
        upload = client.post(f"{cloud.endpoint}/v1/uploads", json=announced).json()["request"]
        client.put(f"{cloud.endpoint}{upload['url']}", content=data)
        wanted = {"name": name, "sha256": announced["sha256"]}
        return client.post(f"{cloud.endpoint}/v1/models", json=wanted).status_code
