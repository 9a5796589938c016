from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import islice, pairwise

import pytest

from hookline.bench.connection import BROKEN
from hookline.bench.load import Closed, Open, Seen, due_times
from hookline.bench.target import Target
from hookline.core.errors import Unavailable
from hookline.core.timing import Timing
from tests.unit.bench.servers import answering, response

TIMING = Timing(1.0, 2.0, 3.0, 4.0, 8)


async def until(is_true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not is_true():  # noqa: ASYNC110 - a test may look inside
            await asyncio.sleep(0.001)


def answers_of(load: Closed | Open) -> Seen:
    return load._seen


def test_a_closed_loop_keeps_so_many_in_flight_and_no_more() -> None:
    async def go() -> None:
        release, in_flight, most = asyncio.Event(), 0, 0

        async def answer(_body: bytes) -> bytes:
            nonlocal in_flight, most
            in_flight += 1
            most = max(most, in_flight)
            await release.wait()
            in_flight -= 1
            return response()

        async with answering(answer) as target:
            load = Closed(target, [b"a"], "text/plain", 4)
            await load.start()
            await until(lambda: in_flight == 4)
            assert answers_of(load).sent == 4
            release.set()
            await until(lambda: len(answers_of(load).latencies_s) > 40)
            load.stop()
            assert most == 4

    asyncio.run(go())


def test_a_request_that_waits_for_a_connection_counts_from_when_it_was_due() -> None:
    async def go() -> None:
        release = asyncio.Event()

        async def answer(_body: bytes) -> bytes:
            await release.wait()
            return response()

        async with answering(answer) as target:
            load = Open(target, [b"a"], "text/plain", 2000.0, "constant", 1)
            await load.start()
            await until(lambda: len(load._due) > 50)
            released_s = time.monotonic()
            release.set()
            await until(lambda: len(answers_of(load).latencies_s) > 50)
            load.stop()
            latencies_s = answers_of(load).latencies_s
            due_s = [load._zero_s + at_s for at_s in islice(due_times(2000.0, "constant"), 50)]
            # One connection answers in the order in which they were due.
            for latency_s, at_s in zip(latencies_s, due_s, strict=False):
                assert latency_s >= released_s - at_s

    asyncio.run(go())


def test_an_open_loop_opens_connections_while_requests_wait_and_no_more_than_it_may() -> None:
    async def go() -> None:
        release, waiting = asyncio.Event(), 0

        async def answer(_body: bytes) -> bytes:
            nonlocal waiting
            waiting += 1
            await release.wait()
            return response()

        async with answering(answer) as target:
            load = Open(target, [b"a"], "text/plain", 2000.0, "poisson", 5)
            await load.start()
            await until(lambda: waiting == 5 and len(load._due) > 20)
            assert len(load._all) == 5
            release.set()
            await until(lambda: answers_of(load).statuses[200] > 20)
            load.stop()

    asyncio.run(go())


def test_what_is_refused_is_counted_and_has_no_latency() -> None:
    async def go() -> None:
        async def answer(body: bytes) -> bytes:
            return response(503 if body == b"b" else 200)

        async with answering(answer) as target:
            load = Closed(target, [b"a", b"b"], "text/plain", 1)
            await load.start()
            await until(lambda: answers_of(load).statuses[503] >= 5)
            load.stop()
            seen = load.take()
            assert len(seen.latencies_s) == seen.statuses[200] >= 5

    asyncio.run(go())


def test_a_connection_that_breaks_is_counted_and_replaced() -> None:
    async def go() -> None:
        async def answer(body: bytes) -> bytes:
            return b"" if body == b"b" else response(connection="close")

        async with answering(answer) as target:
            load = Closed(target, [b"a", b"b"], "text/plain", 2)
            await load.start()
            await until(lambda: answers_of(load).statuses[BROKEN] >= 3)
            load.stop()
            assert answers_of(load).statuses[200] >= 2

    asyncio.run(go())


@pytest.mark.parametrize(
    "answer",
    [
        response(body=b"x" * 70_000),
        b"HTTP/1.1 200 OK\r\nContent-Len<pause>gth: 2\r\n\r<pause>\no<pause>k",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n<pause>0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n<pause>" + response(),
    ],
)
def test_answers_of_any_shape_are_read(answer: bytes) -> None:
    async def go() -> None:
        async def answer_it(_body: bytes) -> bytes:
            return answer

        async with answering(answer_it) as target:
            load = Closed(target, [b"a"], "text/plain", 1)
            await load.start()
            await until(lambda: answers_of(load).statuses[200] >= 5)
            load.stop()
            assert set(answers_of(load).statuses) == {200}

    asyncio.run(go())


def test_some_requests_ask_where_their_time_goes() -> None:
    async def go() -> None:
        async def answer(_body: bytes) -> bytes:
            return response(server_timing=TIMING.value().decode())

        async with answering(answer) as target:
            load = Closed(target, [b"a"], "text/plain", 1)
            await load.start()
            await until(lambda: answers_of(load).timings)
            load.stop()
            assert answers_of(load).timings[0] == TIMING

    asyncio.run(go())


def test_one_request_in_eight_carries_the_question() -> None:
    target = Target("h", 1, "/p", "secret")
    load = Closed(target, [b"a", b"b", b"c"], "text/plain", 1)
    sent = list(islice(load._requests, 48))
    assert sum(b"x-request-timing: 1\r\n" in request for request in sent) == 6
    assert [request[-1:] for request in sent[:6]] == [b"a", b"b", b"c"] * 2
    assert all(b"Authorization: Bearer secret\r\n" in request for request in sent)


def test_nothing_that_listens_is_said_at_once() -> None:
    async def go() -> None:
        async with answering(lambda _body: asyncio.sleep(0, response())) as target:
            pass
        with pytest.raises(Unavailable, match="Nothing answers"):
            await Closed(target, [b"a"], "text/plain", 1).start()

    asyncio.run(go())


def test_due_times_are_even_or_as_callers_come() -> None:
    assert list(islice(due_times(4, "constant"), 4)) == [0.25, 0.5, 0.75, 1.0]
    some = list(islice(due_times(100, "poisson"), 10_000))
    assert some == sorted(some)
    assert some == list(islice(due_times(100, "poisson"), 10_000))
    gaps = [late - early for early, late in pairwise(some)]
    assert 0.0097 < sum(gaps) / len(gaps) < 0.0103
    above = sum(gap > 0.01 for gap in gaps) / len(gaps)
    assert 0.35 < above < 0.39  # 1/e
