"""The HTTP face, called as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest

from hookline.core.errors import HookFailed, InvalidInput
from hookline.core.secrets import digest
from hookline.core.timing import Timing
from hookline.runtime import logs
from hookline.runtime.batcher import Batcher
from hookline.runtime.connection import Connection
from hookline.runtime.exchange import Exchange
from hookline.runtime.items import Answer, Item, Laps, Outcome, Outcomes
from hookline.runtime.lane import Lane
from hookline.runtime.pace import Pace
from hookline.runtime.server import Application
from hookline.runtime.spec import ServerSpec
from tests.prometheus import labels, parsed

TOKEN = "8e51" + "ab" * 28 + "0b4b"


class Pipeline:
    """Tells what it got; fails, breaks or waits where the body says so."""

    def __init__(self) -> None:
        self.seen: list[Item] = []
        self.gate = threading.Event()
        self._begun = threading.Event()

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, 10)

    def run(self, items: Sequence[Item]) -> list[Outcome]:
        self.seen += items
        self._begun.set()
        now_s = time.monotonic()
        laps = Laps(len(items), now_s, now_s + 0.001, now_s + 0.003, now_s + 0.006)
        outcomes = Outcomes([self._outcome(item) for item in items])
        outcomes.laps = laps
        return outcomes

    def _outcome(self, item: Item) -> Outcome:
        if item.body == b"wait":
            assert self.gate.wait(10)
        if item.body == b"break":
            raise RuntimeError("a secret of the platform")
        if item.body == b"unfit":
            return InvalidInput("It does not fit.", why="Expected 3, got 4.", hint="Send 3.")
        if item.body == b"fail":
            return HookFailed("The predict hook raised.", trace='File "inference.py", line 3')
        if item.body == b"split":
            return Answer(b"x", "text/plain\r\nset-cookie: a=b")
        return Answer(item.body.upper(), "text/x-loud")


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@contextlib.asynccontextmanager
async def listening(application: Application) -> AsyncIterator[str]:
    """`application` on a real socket; yields its URL."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(application), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for connection in list(application.connections):
            connection.stop()
        await application.left_by_all()


@contextlib.asynccontextmanager
async def serving(
    pipeline: Pipeline, pace: Pace | None = None, **settings: Any
) -> AsyncIterator[tuple[httpx2.AsyncClient, Application]]:
    spec = ServerSpec(**settings)
    application = Application(spec)
    lane = Lane("test")
    application.open(
        Batcher(
            pipeline.run,
            [lane],
            pace or Pace(may_run_inline=False),
            max_queue_items=spec.max_queue_items,
        )
    )
    async with (
        listening(application) as url,
        httpx2.AsyncClient(base_url=url, verify=False) as client,
    ):
        yield client, application
        pipeline.gate.set()
    lane.close()


def ask(
    pipeline: Pipeline, method: str, path: str, *, settings: dict[str, Any] | None = None, **kw: Any
) -> httpx2.Response:
    async def scenario() -> httpx2.Response:
        async with serving(pipeline, **settings or {}) as (client, _):
            return await client.request(method, path, **kw)

    return asyncio.run(scenario())


async def connected(application: Application, count: int) -> None:
    while len(application.connections) != count:  # noqa: ASYNC110 - a test may look inside
        await asyncio.sleep(0)


async def _raw(url: str, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which `data` has been sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(data)
    await writer.drain()
    return reader, writer


def post(
    body: bytes, *, path: str = "/predict", length: int | None = None, lines: str = ""
) -> bytes:
    size = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n{lines}\r\n"
    return head.encode() + body


def said(pipeline: Pipeline, data: bytes, **settings: Any) -> tuple[int, dict[str, str], Any]:
    """Status, headers and problem in the answer to `data`, which asks to hang up after it."""

    async def scenario() -> bytes:
        async with serving(pipeline, **settings) as (client, _):
            reader, writer = await _raw(str(client.base_url).rstrip("/"), data)
            answer = await reader.read()
            writer.close()
            return answer

    head, _, body = asyncio.run(scenario()).partition(b"\r\n\r\n")
    start, *lines = head.decode().split("\r\n")
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    is_problem = headers["content-type"] == "application/problem+json"
    return int(start.split()[1]), headers, json.loads(body) if is_problem else body


@pytest.mark.parametrize("path", ["/predict", "/invocations"])
def test_a_prediction_gets_the_answer_as_is(pipeline: Pipeline, path: str) -> None:
    headers = {"content-type": "text/x-quiet", "x-request-id": "abc-1"}

    answer = ask(pipeline, "POST", path, content=b"hello", headers=headers)

    assert (answer.status_code, answer.content) == (200, b"HELLO")
    assert answer.headers["content-type"] == "text/x-loud"
    assert answer.headers["x-request-id"] == "abc-1"
    assert pipeline.seen == [Item(b"hello", "text/x-quiet", request_id="abc-1")]


def test_a_body_without_a_type_is_octets(pipeline: Pipeline) -> None:
    ask(pipeline, "POST", "/predict", content=b"hello")

    assert pipeline.seen[0].mime_type == "application/octet-stream"


@pytest.mark.parametrize("given", ["", "with space", "x" * 129, "line\u2028"])
def test_a_request_id_that_is_missing_or_odd_is_replaced(pipeline: Pipeline, given: str) -> None:
    headers = {"x-request-id": given.encode()}

    answer = ask(pipeline, "POST", "/predict", content=b"x", headers=headers)

    assert answer.headers["x-request-id"] not in ("", given)


def test_the_pipelines_error_is_a_problem_with_a_hint(pipeline: Pipeline) -> None:
    answer = ask(pipeline, "POST", "/predict", content=b"unfit")

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "invalid_input"
    assert problem["detail"] == "Expected 3, got 4."
    assert problem["hint"] == "Send 3."
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_the_trace_of_a_hook_goes_to_the_log_and_not_to_the_client(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(pipeline, "POST", "/predict", content=b"fail")

    assert answer.status_code == 500
    assert "inference.py" not in answer.text
    (record,) = [record for record in caplog.records if record.msg == "request_failed"]
    assert "inference.py" in vars(record)["trace"]
    assert "logs" in answer.json()["hint"]


def test_an_unknown_exception_tells_the_client_nothing_and_is_logged_once(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(pipeline, "POST", "/predict", content=b"break")

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "secret" not in answer.text
    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_a_mime_type_that_would_split_the_answer_is_the_hooks_fault(pipeline: Pipeline) -> None:
    answer = ask(pipeline, "POST", "/predict", content=b"split")

    assert answer.json()["code"] == "invalid_output"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN} ", 200),
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN.upper()}", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
    ],
)
def test_only_the_exact_token_passes(
    pipeline: Pipeline, authorization: str | None, status: int
) -> None:
    lines = "" if authorization is None else f"Authorization: {authorization}\r\n"
    data = post(b"x", lines=f"Connection: close\r\n{lines}")

    found, headers, problem = said(
        pipeline, data, token_sha256=(digest("other"), digest(TOKEN), digest(""))
    )

    assert found == status
    if status == 401:
        assert headers["www-authenticate"] == "Bearer"
        assert problem["code"] == "unauthenticated"
        assert pipeline.seen == []


def test_health_needs_no_token(pipeline: Pipeline) -> None:
    answer = ask(pipeline, "GET", "/ping", settings={"token_sha256": (digest(TOKEN),)})

    assert answer.status_code == 200


def test_info_tells_the_status(pipeline: Pipeline) -> None:
    answer = ask(pipeline, "GET", "/")

    assert answer.json() == {"name": "hookline", "status": "ready"}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/predict", "POST, OPTIONS"),
        ("DELETE", "/invocations", "POST, OPTIONS"),
        ("POST", "/ping", "GET, HEAD, OPTIONS"),
        ("PUT", "/", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_names_the_right_ones(
    pipeline: Pipeline, method: str, path: str, allow: str
) -> None:
    answer = ask(pipeline, method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.json()["code"] == "method_not_allowed"


def test_options_tells_what_is_allowed(pipeline: Pipeline) -> None:
    answer = ask(pipeline, "OPTIONS", "/predict")

    assert (answer.status_code, answer.headers["allow"]) == (200, "POST, OPTIONS")


def test_head_answers_like_get(pipeline: Pipeline) -> None:
    assert ask(pipeline, "HEAD", "/ping").status_code == 200


@pytest.mark.parametrize("path", ["/nope", "/predict/", "//predict", "/PREDICT"])
def test_another_path_is_a_404_problem(pipeline: Pipeline, path: str) -> None:
    status, _, problem = said(pipeline, post(b"x", path=path, lines="Connection: close\r\n"))

    assert (status, problem["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["/predict?a=1", "/%70redict", "http://other/predict", "/predict#part"]
)
def test_one_path_has_many_spellings(pipeline: Pipeline, path: str) -> None:
    status, _, body = said(pipeline, post(b"x", path=path, lines="Connection: close\r\n"))

    assert (status, body) == (200, b"X")


def test_a_body_over_the_limit_is_refused_by_its_announced_length(pipeline: Pipeline) -> None:
    answer = ask(pipeline, "POST", "/predict", content=b"123456", settings={"max_body_bytes": 5})

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert pipeline.seen == []


def test_a_body_over_the_limit_is_refused_while_it_streams(pipeline: Pipeline) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    chunks = b"Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n456\r\n"

    status, _, problem = said(pipeline, head + chunks, max_body_bytes=5)

    assert (status, problem["code"]) == (413, "too_large")
    assert pipeline.seen == []


def test_a_body_of_exactly_the_limit_passes(pipeline: Pipeline) -> None:
    answer = ask(pipeline, "POST", "/predict", content=b"12345", settings={"max_body_bytes": 5})

    assert answer.status_code == 200


@pytest.mark.parametrize("value", ["0", "-5", "1.5", "soon", "1e3", "\uff11", "9" * 40])
def test_an_odd_timeout_is_refused(pipeline: Pipeline, value: str) -> None:
    headers = {"x-request-timeout-ms": value.encode()}

    answer = ask(pipeline, "POST", "/predict", content=b"x", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize(("server_s", "caller_ms"), [(60.0, "20"), (0.02, "60000")])
def test_a_caller_may_hurry_but_not_outstay_the_server(
    pipeline: Pipeline, server_s: float, caller_ms: str
) -> None:
    headers = {"x-request-timeout-ms": caller_ms}
    settings = {"request_timeout_s": server_s}

    answer = ask(pipeline, "POST", "/predict", content=b"wait", headers=headers, settings=settings)

    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")


def test_a_full_queue_answers_503_and_when_to_retry(pipeline: Pipeline) -> None:
    async def scenario() -> httpx2.Response:
        async with serving(pipeline, max_queue_items=1) as (client, _):
            first = asyncio.ensure_future(client.post("/predict", content=b"wait"))
            await pipeline.has_begun()
            two = [asyncio.ensure_future(client.post("/predict", content=b"x")) for _ in "ab"]
            (refused,), queued = await asyncio.wait(two, return_when=asyncio.FIRST_COMPLETED)
            pipeline.gate.set()
            await asyncio.gather(first, *queued)
            return refused.result()

    answer = asyncio.run(scenario())
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"


def test_before_and_after_its_life_a_replica_says_so(pipeline: Pipeline) -> None:
    async def scenario() -> list[tuple[int, str]]:
        async with (
            listening(Application(ServerSpec())) as url,
            httpx2.AsyncClient(base_url=url, verify=False) as client,
        ):
            answers = [await client.get("/ping"), await client.post("/predict", content=b"x")]
        async with serving(pipeline) as (client, application):
            application.drain()
            answers += [await client.get("/ping"), await client.post("/predict", content=b"x")]
        assert answers[-1].headers["connection"] == "close"
        return [(answer.status_code, answer.text) for answer in answers]

    ping, predict, late_ping, late_predict = asyncio.run(scenario())
    for status, text in (ping, predict, late_ping):
        assert (status, json.loads(text)["code"]) == (503, "not_ready")
    assert late_predict == (200, "X")


def test_a_client_that_hangs_up_while_sending_reaches_nothing(pipeline: Pipeline) -> None:
    async def scenario() -> None:
        async with serving(pipeline) as (client, application):
            _, writer = await _raw(str(client.base_url).rstrip("/"), post(b"half", length=8))
            await connected(application, 1)
            writer.close()
            await connected(application, 0)
            await client.post("/predict", content=b"last")

    asyncio.run(scenario())
    assert [item.body for item in pipeline.seen] == [b"last"]


def test_a_client_that_hangs_up_while_queued_never_reaches_the_pipeline(
    pipeline: Pipeline,
) -> None:
    async def scenario() -> None:
        async with serving(pipeline) as (client, application):
            first = asyncio.ensure_future(client.post("/predict", content=b"wait"))
            await pipeline.has_begun()
            _, writer = await _raw(str(client.base_url).rstrip("/"), post(b"queued"))
            await connected(application, 2)
            writer.close()
            await connected(application, 1)
            pipeline.gate.set()
            await first
            await client.post("/predict", content=b"last")

    asyncio.run(scenario())
    assert [item.body for item in pipeline.seen] == [b"wait", b"last"]


def test_a_body_that_never_ends_is_given_up_at_the_deadline(pipeline: Pipeline) -> None:
    async def scenario() -> bytes:
        async with serving(pipeline, request_timeout_s=0.02) as (client, _):
            reader, writer = await _raw(str(client.base_url).rstrip("/"), post(b"half", length=8))
            answer = await reader.read()
            writer.close()
            return answer

    answer = asyncio.run(scenario())
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"\r\nconnection: close\r\n" in answer


def test_no_log_line_has_the_token(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"authorization": f"Bearer {TOKEN}", "x-request-id": "r"}
    for body in (b"x", b"fail", b"break", b"unfit"):
        ask(pipeline, "POST", "/predict", content=body, headers=headers)

    ours = [str(vars(record)) for record in caplog.records if record.name.startswith("hookline")]
    assert ours
    assert not any(TOKEN in text for text in ours)


def test_an_answered_request_leaves_no_garbage_behind(pipeline: Pipeline) -> None:
    async def scenario() -> int:
        async with serving(pipeline) as (client, _):
            reader, writer = await _raw(str(client.base_url).rstrip("/"), b"")
            gc.collect()
            gc.disable()
            try:
                for _ in range(200):
                    writer.write(post(b"x"))
                    await reader.readuntil(b"\r\n\r\nX")
                return gc.collect()
            finally:
                gc.enable()
                writer.close()

    assert asyncio.run(scenario()) < 200


# --- metrics -------------------------------------------------------------------------------


def test_metrics_count_answers_by_status_and_clients_that_left(pipeline: Pipeline) -> None:
    async def scenario() -> str:
        async with serving(pipeline, labels={"stream": "7"}) as (client, application):
            for body in (b"a", b"b", b"unfit"):
                await client.post("/predict", content=body)
            await client.get("/nothing")
            pipeline._begun.clear()
            port = client.base_url.port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nwait")
            await pipeline.has_begun()
            writer.close()
            await connected(application, 1)
            del reader
            return (await client.get("/metrics")).text

    found = parsed(asyncio.run(scenario()))["hookline_requests_total"]
    assert found == {
        labels(stream="7", status=status): count
        for status, count in (("200", 2), ("422", 1), ("404", 1), ("499", 1))
    }


def test_metrics_take_the_token_that_predictions_take(pipeline: Pipeline) -> None:
    settings = {"token_sha256": (digest(TOKEN),)}
    assert ask(pipeline, "GET", "/metrics", settings=settings).status_code == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = ask(pipeline, "GET", "/metrics", settings=settings, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


# --- timing --------------------------------------------------------------------------------

ASKED = {"X-Request-Timing": "1"}


@pytest.mark.parametrize("body", [b"good", b"unfit"])
def test_a_caller_who_asks_is_told_where_the_time_went(pipeline: Pipeline, body: bytes) -> None:
    answer = ask(pipeline, "POST", "/predict", content=body, headers=ASKED)
    timing = Timing.parsed(answer.headers["server-timing"].encode())
    assert timing is not None
    assert 0 <= timing.queue_ms < 10_000
    stages = (timing.preprocess_ms, timing.predict_ms, timing.postprocess_ms)
    assert (*stages, timing.batch_items) == (1.0, 2.0, 3.0, 1)


def test_a_lone_caller_whose_request_runs_in_the_loop_is_told_too(pipeline: Pipeline) -> None:
    pace = Pace(may_run_inline=True)
    pace.learn([Item(b"good", "text/plain")], 1e-6)

    headers = ASKED | {"Content-Type": "text/plain"}
    settings = {"pace": pace}
    answer = ask(pipeline, "POST", "/predict", settings=settings, content=b"good", headers=headers)
    assert "server-timing" in answer.headers


@pytest.mark.parametrize("headers", [{}, {"X-Request-Timing": "0"}])
def test_who_does_not_ask_is_not_told(pipeline: Pipeline, headers: dict[str, str]) -> None:
    answer = ask(pipeline, "POST", "/predict", content=b"good", headers=headers)
    assert answer.content == b"GOOD"
    assert "server-timing" not in answer.headers


def test_at_the_level_debug_every_answer_is_logged(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(noting_the_request)
    with caplog.at_level(logging.DEBUG, "hookline.runtime.server"):
        ask(pipeline, "POST", "/predict", content=b"a", headers={"X-Request-Id": "r-1"})
        ask(pipeline, "POST", "/predict", content=b"unfit", headers={"X-Request-Id": "r-2"})
    done = [vars(record) for record in caplog.records if record.getMessage() == "request_done"]
    assert [(one["about"], one["status"]) for one in done] == [("r-1", 200), ("r-2", 422)]
    assert done[0]["predict_ms"] == 2.0


def noting_the_request(record: logging.LogRecord) -> bool:
    record.about = logs.request_id.get()
    return True


def test_a_line_after_a_failure_is_not_about_its_request() -> None:
    seen: list[str] = []

    class Watched(Application):
        def admit(self, exchange: Exchange) -> None:
            seen.append(logs.request_id.get())
            super().admit(exchange)

    async def scenario() -> None:
        async with (
            listening(Watched(ServerSpec())) as url,
            httpx2.AsyncClient(base_url=url, verify=False) as client,
        ):
            for _ in range(2):  # on one connection, whose callbacks share a context
                await client.post("/predict", content=b"a", headers={"X-Request-Id": "r-1"})

    asyncio.run(scenario())
    assert seen == ["", ""]


@pytest.mark.parametrize(
    ("path", "accept", "given"),
    [
        ("/invocations", "text/csv", "text/csv"),
        ("/invocations", "*/*", ""),
        ("/endpoints/digits/invocations", "text/csv", "text/csv"),
        ("/predict", "text/csv", ""),
    ],
)
def test_what_sagemakers_callers_accept_is_passed_on(
    pipeline: Pipeline, path: str, accept: str, given: str
) -> None:
    answer = ask(pipeline, "POST", path, content=b"x", headers={"Accept": accept})
    assert answer.status_code == 200
    assert [item.accept for item in pipeline.seen] == [given]


def test_batch_transform_is_told_how_to_ask(pipeline: Pipeline) -> None:
    parameters = ask(pipeline, "GET", "/execution-parameters").json()
    assert parameters["BatchStrategy"] == "SINGLE_RECORD"
    assert parameters["MaxConcurrentTransforms"] * parameters["MaxPayloadInMB"] <= 100
