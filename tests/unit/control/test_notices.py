from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Sequence

import pytest

from hookline.batch import jobs
from hookline.control import notices
from hookline.control.notices import RETRY_AFTER_S
from hookline.core.errors import Unavailable
from hookline.core.ports import Ports
from hookline.core.records import Job, Serving
from hookline.core.targets import Targets, networks
from hookline.core.topology import NOTICES, Handler
from tests.fakes import FakeClock
from tests.unit.control.content import filled_volume, imported
from tests.unit.control.dropping import deliver, drop
from tests.unit.control.dropping import jobs as jobs_of
from tests.unit.control.events import USER, Plane
from tests.unit.control.receiving import receiving

HERE = Targets(networks=networks("127.0.0.0/8"))
TOPIC = "arn:aws:sns:eu-west-1:123456789012:done"


def secret_of(plane: Plane) -> str:
    secret: str = plane.made("/v1/webhook-secret", {})["secret"]
    return secret


def ended(ports: Ports, target: str) -> Job:
    """A job that ends now, as the batch engine ends it."""
    now = ports.clock()
    job = Job(
        tenant="a",
        id=7,
        model_id=1,
        volume_id=2,
        serving=Serving(),
        status="Running",
        notify=target,
        total=3,
        created_at=now,
        updated_at=now,
    )

    def step(found: Job) -> Job:
        return jobs.changed(
            found, now, status="CompletedWithErrors", succeeded=2, failed=1, results_key="k"
        )

    done = jobs.advance(ports, ports.catalog.put(job), step)
    assert done is not None
    return done


def arrive(ports: Ports, handler: Handler) -> list[str]:
    """Hand over the notices that are due; the ids of those that failed."""
    leases = ports.queue.receive(NOTICES, 10, lease_s=60)
    return handed(ports, handler, [lease.body.decode() for lease in leases], leases)


def handed(
    ports: Ports, handler: Handler, bodies: Sequence[str], leases: Sequence[object] = ()
) -> list[str]:
    records = [{"messageId": str(n), "body": body} for n, body in enumerate(bodies)]
    answer = handler({"Records": records}, None)
    for lease in leases:
        ports.queue.ack(lease)  # type: ignore[arg-type]  # they are leases
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def signatures(secret: str, request: tuple[dict[str, str], bytes]) -> str:
    headers, body = request
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def test_the_end_of_a_job_is_told_and_signed(plane: Plane, ports: Ports) -> None:
    secret = secret_of(plane)
    handler = notices.build(ports, HERE)

    with receiving() as receiver:
        ended(ports, receiver.url)
        assert arrive(ports, handler) == []

    [(headers, body)] = receiver.requests
    assert headers["webhook-id"] == "a-job-7"
    assert headers["webhook-timestamp"] == str(int(ports.clock()))
    assert headers["webhook-signature"] == signatures(secret, receiver.requests[0])
    assert json.loads(body) == {
        "type": "job.ended",
        "id": "a-job-7",
        "tenant": "a",
        "ended_at": ports.clock(),
        "job": {
            "id": 7,
            "status": "CompletedWithErrors",
            "model_id": 1,
            "volume_id": 2,
            "trigger_id": None,
            "total": 3,
            "succeeded": 2,
            "failed": 1,
        },
        "failure": None,
        "results": "/v1/batches/7/results",
    }
    assert notice_of(plane) == ("delivered", 1, "")


def notice_of(plane: Plane) -> tuple[str, int, str]:
    shown = plane.shown("/v1/batches/7")["notice"]
    return shown["status"], shown["attempts"], shown["answer"]


def test_a_notice_that_comes_twice_is_sent_once(plane: Plane, ports: Ports) -> None:
    secret_of(plane)
    handler = notices.build(ports, HERE)
    body = json.dumps({"tenant": "a", "job_id": 7, "attempt": 0})

    with receiving() as receiver:
        ended(ports, receiver.url)
        assert handed(ports, handler, [body, body]) == []
        assert handed(ports, handler, [body]) == []

    assert len(receiver.requests) == 1


def test_a_failed_notice_is_tried_again_later_and_later_under_one_id(
    plane: Plane, ports: Ports, clock: FakeClock
) -> None:
    secret_of(plane)
    handler = notices.build(ports, HERE)

    with receiving() as receiver:
        receiver.statuses = [500, 302, 204]
        ended(ports, receiver.url)
        arrive(ports, handler)
        assert notice_of(plane) == ("pending", 1, "The answer was 500, which is no success.")

        clock.advance(RETRY_AFTER_S[0] - 1)
        arrive(ports, handler)
        assert len(receiver.requests) == 1

        clock.advance(1)
        arrive(ports, handler)
        clock.advance(RETRY_AFTER_S[1])
        arrive(ports, handler)

    assert [headers["webhook-id"] for headers, _ in receiver.requests] == ["a-job-7"] * 3
    assert notice_of(plane) == ("delivered", 3, "")
    assert ports.queue.depth(NOTICES) == 0


def test_a_notice_is_given_up_in_the_end(plane: Plane, ports: Ports, clock: FakeClock) -> None:
    secret_of(plane)
    handler = notices.build(ports, HERE)

    with receiving() as receiver:
        receiver.statuses = [503]
        ended(ports, receiver.url)
        for delay_s in (0, *RETRY_AFTER_S, 900, 900):
            clock.advance(delay_s)
            arrive(ports, handler)

    assert len(receiver.requests) == len(RETRY_AFTER_S) + 1
    assert notice_of(plane)[0] == "failed"


def test_an_address_that_is_not_allowed_is_never_asked(plane: Plane, ports: Ports) -> None:
    secret_of(plane)

    with receiving() as receiver:
        ended(ports, receiver.url)
        assert arrive(ports, notices.build(ports)) == []

    assert receiver.requests == []
    assert "not on the open internet" in notice_of(plane)[2]


def test_a_lost_notice_is_made_up_for_by_the_reconciler(
    plane: Plane, ports: Ports, clock: FakeClock
) -> None:
    secret_of(plane)
    handler = notices.build(ports, HERE)

    with receiving() as receiver:
        ended(ports, receiver.url)
        plane.take(NOTICES)
        for _ in range(7):
            clock.advance(300)
            plane.handler("reconcile")({}, None)
            arrive(ports, handler)
        clock.advance(3600)
        plane.handler("reconcile")({}, None)
        arrive(ports, handler)

    assert len(receiver.requests) == 1
    assert notice_of(plane) == ("delivered", 1, "")


def test_a_topic_is_told_without_a_signature(plane: Plane, ports: Ports) -> None:
    told: list[tuple[str, bytes]] = []
    targets = Targets(topics=frozenset({TOPIC}))
    handler = notices.build(ports, targets, lambda topic, body: told.append((topic, body)))

    ended(ports, TOPIC)
    arrive(ports, handler)

    [(topic, body)] = told
    assert (topic, json.loads(body)["job"]["id"]) == (TOPIC, 7)
    assert notice_of(plane) == ("delivered", 1, "")


def test_a_topic_that_does_not_take_it_is_tried_again(plane: Plane, ports: Ports) -> None:
    def refuse(_topic: str, _body: bytes) -> None:
        raise Unavailable("SNS is away.")

    ended(ports, TOPIC)
    arrive(ports, notices.build(ports, Targets(topics=frozenset({TOPIC})), refuse))

    assert notice_of(plane) == ("pending", 1, "SNS is away.")


def test_after_a_change_both_secrets_sign_for_a_day(
    plane: Plane, ports: Ports, clock: FakeClock
) -> None:
    former, secret = secret_of(plane), secret_of(plane)
    handler = notices.build(ports, HERE)

    with receiving() as receiver:
        receiver.statuses = [500, 204]
        ended(ports, receiver.url)
        arrive(ports, handler)
        clock.advance(24 * 3600)
        arrive(ports, handler)

    both, one = receiver.requests
    assert both[0]["webhook-signature"].split() == [
        signatures(secret, both),
        signatures(former, both),
    ]
    assert one[0]["webhook-signature"] == signatures(secret, one)


def test_a_malformed_message_fails_alone(plane: Plane, ports: Ports) -> None:
    secret_of(plane)
    good = json.dumps({"tenant": "a", "job_id": 7, "attempt": 0})

    with receiving() as receiver:
        ended(ports, receiver.url)
        assert handed(ports, notices.build(ports, HERE), ["{", good]) == ["0"]

    assert len(receiver.requests) == 1


def test_the_secret_is_the_admins_to_make(plane: Plane) -> None:
    assert plane("POST", "/v1/webhook-secret", {}, who=USER).status == 403


@pytest.mark.parametrize("path", ["/v1/batches", "/v1/volumes/1/triggers"])
def test_who_cannot_be_notified_is_refused_at_once(plane: Plane, path: str) -> None:
    imported(plane)
    volume_id = filled_volume(plane)
    body = {"model_id": 1} | ({"volume_id": volume_id} if path == "/v1/batches" else {})

    unsigned = plane("POST", path, {**body, "notify": "https://example.com/hook"})
    assert (unsigned.status, unsigned.body["code"]) == (409, "conflict")
    assert "hookline key webhook" in unsigned.body["hint"]

    secret_of(plane)
    inside = plane("POST", path, {**body, "notify": "https://169.254.169.254/"})
    assert (inside.status, inside.body["code"]) == (422, "invalid_input")
    topic = plane("POST", path, {**body, "notify": TOPIC})
    assert "No SNS topic can be notified here." in topic.body["title"]

    made = plane.made(path, {**body, "notify": "https://example.com/hook"})
    assert made["notify"] == "https://example.com/hook"


def test_the_jobs_of_a_trigger_tell_their_end(plane: Plane) -> None:
    imported(plane)
    volume_id = filled_volume(plane, [])
    secret_of(plane)
    target = "https://example.com/hook"
    plane.made(f"/v1/volumes/{volume_id}/triggers", {"model_id": 1, "notify": target})

    deliver(plane, [drop(plane, volume_id, "a.png")])

    assert [job.notify for job in jobs_of(plane)] == [target]


def test_a_job_that_tells_nobody_sends_nothing(plane: Plane, ports: Ports) -> None:
    ended(ports, "")

    assert plane.take(NOTICES) == []
    assert plane.shown("/v1/batches/7")["notice"] is None
