from __future__ import annotations

import pytest

from hookline.core.errors import Conflict, HooklineError, NotReady, Unauthenticated
from hookline.core.ports import Ports
from hookline.core.records import Credential, Replica, Serving, Stream, StreamStatus
from hookline.core.secrets import digest, new_token
from hookline.gateway.routing import EMPTY_KEEP_S, KEEP_S, Destination, RoutingTable
from tests.fakes import FakeClock

TOKEN = new_token()


def deploy(ports: Ports, status: StreamStatus = "Running", *, replicas: int = 1) -> None:
    stream = Stream(
        tenant="acme",
        id=7,
        model_id=1,
        serving=Serving(),
        status=status,
        created_at=0.0,
        updated_at=0.0,
    )
    ports.catalog.put(stream)
    credential = Credential(sha256=digest(TOKEN), owner="acme", stream_id=7, created_at=0.0)
    ports.catalog.put(credential)
    for number in range(replicas):
        lease = Replica(
            tenant="acme",
            stream_id=7,
            process_id=f"p{number}",
            address=f"unix:/run/{number}",
            started_at=0.0,
        )
        ports.catalog.put(lease)


def test_a_token_leads_to_the_replicas_of_its_stream(ports: Ports) -> None:
    deploy(ports, replicas=2)
    answer = RoutingTable(ports.catalog).resolve(TOKEN)
    assert answer == Destination("acme", 7, ("unix:/run/0", "unix:/run/1"))


def test_an_unknown_token_is_unauthenticated(ports: Ports) -> None:
    deploy(ports)
    assert isinstance(RoutingTable(ports.catalog).resolve(new_token()), Unauthenticated)


def test_an_api_key_does_not_predict(ports: Ports) -> None:
    ports.catalog.put(Credential(sha256=digest("hk_x"), owner="acme", user="a", created_at=0.0))
    answer = RoutingTable(ports.catalog).resolve("hk_x")
    assert isinstance(answer, Unauthenticated)
    assert "API key" in str(answer)


def test_an_expired_token_is_unauthenticated(ports: Ports, clock: FakeClock) -> None:
    credential = Credential(
        sha256=digest(TOKEN), owner="acme", stream_id=7, created_at=0.0, expires_at=clock() + 5
    )
    deploy(ports)
    stored = ports.catalog.get(Credential, "_", digest(TOKEN))
    assert stored is not None
    ports.catalog.put(stored.changed(expires_at=credential.expires_at))
    table = RoutingTable(ports.catalog, clock)
    assert isinstance(table.resolve(TOKEN), Destination)
    clock.advance(5)
    assert isinstance(table.resolve(TOKEN), Unauthenticated)


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        ("Deploying", NotReady),
        ("Failed", Conflict),
        ("Undeploying", Unauthenticated),
        ("Undeployed", Unauthenticated),
    ],
)
def test_a_stream_that_does_not_run_says_why(
    ports: Ports, status: StreamStatus, refusal: type[HooklineError]
) -> None:
    deploy(ports, status)
    assert isinstance(RoutingTable(ports.catalog).resolve(TOKEN), refusal)


def test_a_running_stream_without_replicas_has_no_addresses_and_is_asked_for_soon(
    ports: Ports,
) -> None:
    timer = FakeClock()
    deploy(ports, replicas=0)
    table = RoutingTable(ports.catalog, timer=timer)
    assert table.resolve(TOKEN) == Destination("acme", 7, ())
    timer.advance(EMPTY_KEEP_S)
    assert table.kept(TOKEN) is None
    assert table.stale(TOKEN) is None


def test_a_stream_says_whether_its_replicas_follow_its_load_and_may_be_none(ports: Ports) -> None:
    deploy(ports)
    stream = ports.catalog.get(Stream, "acme", 7)
    assert stream is not None
    ports.catalog.put(stream.changed(min_replicas=0, max_replicas=3))
    answer = RoutingTable(ports.catalog).resolve(TOKEN)
    assert answer == Destination("acme", 7, ("unix:/run/0",), is_elastic=True, may_sleep=True)


def test_an_answer_is_stale_for_a_moment_and_then_unknown(ports: Ports) -> None:
    timer = FakeClock()
    deploy(ports)
    table = RoutingTable(ports.catalog, timer=timer)
    answer = table.resolve(TOKEN)
    timer.advance(2 * KEEP_S - 0.1)
    assert (table.kept(TOKEN), table.stale(TOKEN)) == (None, answer)
    timer.advance(0.1)
    assert table.stale(TOKEN) is None


def test_a_refusal_is_never_stale(ports: Ports) -> None:
    table = RoutingTable(ports.catalog)
    table.resolve(TOKEN)
    assert table.stale(TOKEN) is None


def test_an_answer_is_kept_for_a_moment_and_then_asked_for_again(ports: Ports) -> None:
    timer = FakeClock()
    deploy(ports)
    table = RoutingTable(ports.catalog, timer=timer)
    assert table.kept(TOKEN) is None
    answer = table.resolve(TOKEN)
    assert table.kept(TOKEN) == answer
    timer.advance(KEEP_S)
    assert table.kept(TOKEN) is None


def test_a_forgotten_answer_is_asked_for_again(ports: Ports) -> None:
    deploy(ports)
    table = RoutingTable(ports.catalog)
    table.resolve(TOKEN)
    table.forget(TOKEN)
    assert table.kept(TOKEN) is None
