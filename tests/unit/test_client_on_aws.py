"""The client against what stands in front of a deployed cloud: API Gateway, its load balancer, S3.

A server on this machine answers with their own bodies, which are no problem documents.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest
from click.testing import CliRunner, Result

from hookline import Client
from hookline.cli.main import HOOKLINE
from hookline.cli.shell import Shell
from hookline.client.wire import ATTEMPTS
from hookline.core.errors import (
    DeadlineExceeded,
    HooklineError,
    InvalidOutput,
    TooLarge,
    Unavailable,
)
from tests.unit.cli.fake_api import KEY, TOKEN, problem_response

MEGABYTE = 1 << 20
JSON, HTML, XML, TEXT = "application/json", "text/html", "application/xml", "text/plain"
BALANCER = "<html>\n<head><title>503 Service Temporarily Unavailable</title></head></html>"
EXPIRED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code>'
    "<Message>Request has expired</Message><Expires>2026-01-02T03:04:05Z</Expires></Error>"
)


@dataclass(frozen=True)
class Said:
    status: int
    body: str = "{}"
    kind: str = JSON
    location: str = ""


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Front:
    """A server that gives the answers of `script` one after the other, the last one for ever."""

    script: list[Said] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                front.asked.append(Asked(self.command, self.path, headers, body))
                said = front.script[0] if len(front.script) == 1 else front.script.pop(0)
                text = said.body.encode()
                self.send_response(said.status)
                self.send_header("Content-Type", said.kind)
                self.send_header("Content-Length", str(len(text)))
                if said.location:
                    self.send_header("Location", said.location)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - names of http.server

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
                del format, args

        return Handler


@pytest.fixture
def front() -> Iterator[Front]:
    with Front() as front:
        yield front


@pytest.fixture
def cloud(front: Front) -> Iterator[Client]:
    with Client(front.url, KEY, sleep=lambda _: None) as cloud:
        yield cloud


def message(text: str) -> str:
    """How API Gateway says it."""
    return json.dumps({"message": text})


def call(front: Front, *words: str) -> Result:
    environ = {"HOME": "/nonexistent", "HOOKLINE_KEY": KEY, "HOOKLINE_ENDPOINT": front.url}
    return CliRunner().invoke(HOOKLINE, words, obj=Shell(environ), prog_name="hookline")


@pytest.mark.parametrize(
    ("said", "code", "sentence"),
    [
        (Said(401, message("Unauthorized")), 4, "answered 401: Unauthorized."),
        (Said(403, message("Forbidden")), 4, "answered 403: Forbidden."),
        (Said(404, message("Not Found")), 3, "answered 404: Not Found."),
        (Said(404, "There is no such tenant.", TEXT), 3, "404: There is no such tenant."),
        (Said(413, message("Request Entity Too Large")), 6, "413: Request Entity Too Large."),
        (Said(500, message("Internal Server Error")), 8, "500: Internal Server Error."),
        (Said(502, BALANCER, HTML), 8, "answered 502."),
        (Said(504, message("Gateway Timeout")), 9, "504: Gateway Timeout."),
    ],
)
def test_what_aws_itself_refuses_is_a_sentence_with_its_exit_code(
    said: Said, code: int, sentence: str, front: Front
) -> None:
    front.script = [said]

    result = call(front, "model", "list")

    assert (result.exit_code, result.stdout) == (code, "")
    assert sentence in result.stderr.splitlines()[0]
    assert "<html>" not in result.stderr
    assert len(front.asked) == 1


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Said(429, message("Too Many Requests")), HooklineError),
        (Said(503, message("Service Unavailable")), Unavailable),
        (Said(503, BALANCER, HTML), Unavailable),
    ],
)
def test_a_control_call_is_repeated_while_aws_is_busy(
    said: Said, kind: type[HooklineError], front: Front, cloud: Client
) -> None:
    front.script = [said, said, Said(200, '{"items": []}')]
    assert list(cloud.models()) == []

    front.script, front.asked = [said], []
    with pytest.raises(kind):
        list(cloud.models())
    assert len(front.asked) == ATTEMPTS


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_taken_is_told_where_it_comes_from(status: int, front: Front) -> None:
    front.script = [Said(status, message("Forbidden"))]
    assert "`hookline config`" in call(front, "user", "me").stderr.splitlines()[-1]


@pytest.mark.parametrize("body", [(message("Service Unavailable"), JSON), (BALANCER, HTML)])
def test_a_prediction_that_aws_gave_up_on_may_have_run_and_is_not_repeated(
    body: tuple[str, str], front: Front, cloud: Client
) -> None:
    front.script = [Said(503, *body)]

    with pytest.raises(Unavailable):
        cloud.predict(TOKEN, b"x", "image/png")

    assert len(front.asked) == 1


def test_a_prediction_that_was_not_let_in_is_repeated(front: Front, cloud: Client) -> None:
    ours = problem_response(Unavailable("No replica answers.")).text
    throttled = Said(429, message("Too Many Requests"))
    front.script = [throttled, Said(503, ours, "application/problem+json"), Said(200, "[1]")]

    assert cloud.predict(TOKEN, b"x", "image/png").body == b"[1]"
    assert len(front.asked) == 3


def test_a_body_of_ten_megabytes_arrives_whole(front: Front, cloud: Client) -> None:
    front.script = [Said(200, '{"predictions": []}')]
    body = bytes(range(256)) * (10 * MEGABYTE // 256)

    cloud.predict(TOKEN, body, "application/octet-stream")

    (asked,) = front.asked
    assert asked.body == body
    assert asked.headers["content-length"] == str(10 * MEGABYTE)
    assert "transfer-encoding" not in asked.headers


def test_a_slow_prediction_is_polled_for(front: Front, cloud: Client) -> None:
    running = Said(202, "{}", location="/streams/7/results/ab")
    front.script = [running, Said(202), Said(200, "[1]")]

    assert cloud.predict(TOKEN, b"x", "image/png").body == b"[1]"

    first, *polls = front.asked
    assert first.headers["prefer"] == "respond-async, wait=20"
    assert [(one.method, one.path) for one in polls] == [("GET", "/streams/7/results/ab")] * 2
    assert {one.headers["authorization"] for one in polls} == {f"Bearer {TOKEN}"}


def test_the_token_is_not_sent_to_another_place(front: Front, cloud: Client) -> None:
    front.script = [Said(202, "{}", location=f"{front.url}/elsewhere")]

    with pytest.raises(InvalidOutput):
        cloud.predict(TOKEN, b"x", "image/png")

    assert len(front.asked) == 1


def test_a_prediction_that_never_ends_is_given_up(front: Front, cloud: Client) -> None:
    front.script = [Said(202, "{}", location="/streams/7/results/ab")]

    with pytest.raises(DeadlineExceeded):
        cloud.predict(TOKEN, b"x", "image/png", timeout_s=0.1)


def test_a_larger_body_goes_by_reference_and_its_answer_may_lie_behind_a_link(
    front: Front, cloud: Client
) -> None:
    lent = '{"reference": "r1", "request": {"method": "PUT", "url": "/put", "headers": {}}}'
    front.script = [Said(201, lent), Said(200), Said(303, location="/link"), Said(200, "whole")]
    body = bytes(11 * MEGABYTE)

    assert cloud.predict(TOKEN, body, "image/png").body == b"whole"

    uploads, put, predict, link = front.asked
    assert (uploads.path, uploads.body) == ("/predict/uploads", b'{"size_bytes": %d}' % len(body))
    assert (put.path, put.body, "authorization" in put.headers) == ("/put", body, False)
    assert (predict.path, predict.body, predict.headers["body-reference"]) == (
        "/predict",
        b"",
        "r1",
    )
    assert predict.headers["content-type"] == "image/png"
    assert (link.path, "authorization" in link.headers) == ("/link", False)


def test_a_larger_body_is_told_what_takes_it(front: Front, cloud: Client) -> None:
    front.script = [Said(413, message("Request Entity Too Large"))]

    with pytest.raises(TooLarge) as refused:
        cloud.predict(TOKEN, bytes(11 * MEGABYTE), "application/octet-stream")

    assert "10 MB" in refused.value.hint
    assert "volume" in refused.value.hint


def test_files_go_to_s3_itself_and_the_key_does_not(
    tmp_path: Path, front: Front, cloud: Client
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"a model")
    with Front([Said(200, "", XML)]) as s3:
        link = f"{s3.url}/bucket/acme/uploads/1?X-Amz-Signature=0a"
        request = {"method": "PUT", "url": link, "headers": {"x-amz-checksum-sha256": "00"}}
        model = {"id": 1, "name": "m", "format": "onnx", "status": "Ready"}
        front.script = [
            Said(200, json.dumps({"sha256": "", "request": request})),
            Said(201, json.dumps(model)),
        ]

        assert cloud.import_model(path, "m").id == 1

    (put,) = s3.asked
    assert (put.method, put.body) == ("PUT", b"a model")
    assert put.path == "/bucket/acme/uploads/1?X-Amz-Signature=0a"
    assert put.headers["x-amz-checksum-sha256"] == "00"
    assert "authorization" not in put.headers
    assert all(one.headers["authorization"] == f"Bearer {KEY}" for one in front.asked)


def test_a_link_of_s3_that_has_expired_says_so(front: Front, cloud: Client) -> None:
    with Front([Said(403, EXPIRED, XML)]) as s3:
        request = {"method": "GET", "url": f"{s3.url}/results.csv", "headers": {}}
        results = {"id": 1, "status": "Completed", "request": request}
        front.script = [Said(200, json.dumps(results))]

        with pytest.raises(HooklineError, match="403: Request has expired"):
            list(cloud.download(cloud.results(1)))


def test_a_relative_link_is_below_the_endpoint(front: Front, cloud: Client) -> None:
    request = {"method": "GET", "url": "/blobs/1?signature=0a", "headers": {}}
    results = {"id": 1, "status": "Completed", "request": request}
    front.script = [Said(200, json.dumps(results)), Said(200, "a,b", TEXT)]

    assert list(cloud.download(cloud.results(1))) == [b"a,b"]
    assert front.asked[-1].path == "/blobs/1?signature=0a"
