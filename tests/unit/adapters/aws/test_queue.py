"""What moto does not do as SQS does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.queue import DEAD, SqsQueue
from hookline.core.errors import (
    Conflict,
    HooklineError,
    InvalidInput,
    TooManyRequests,
    Unavailable,
)
from hookline.core.ports import MAX_MESSAGE_BYTES, Lease
from hookline.core.topology import DROPS, PLAN, RECONCILE
from tests.fakes import FakeClock
from tests.unit.adapters.aws.world import fresh_clients, make_queues, moto_clients

URLS = {
    PLAN: "https://sqs.eu-central-1.amazonaws.com/1/plan",
    PLAN + DEAD: "https://sqs.eu-central-1.amazonaws.com/1/plan-dead",
    RECONCILE: "https://sqs.eu-central-1.amazonaws.com/1/reconcile.fifo",
}


@pytest.fixture
def clients() -> Clients:
    return fresh_clients()


@pytest.fixture
def stub(clients: Clients) -> Iterator[Stubber]:
    with Stubber(clients.sqs) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def queue(clients: Clients, clock: FakeClock) -> SqsQueue:
    return SqsQueue(clients, URLS, clock=clock)


@pytest.fixture
def sent(clients: Clients, stub: Stubber) -> list[dict[str, Any]]:
    """The parameters of every SendMessageBatch."""
    seen: list[dict[str, Any]] = []
    clients.sqs.meta.events.register(
        "before-parameter-build.sqs.SendMessageBatch", lambda params, **_: seen.append(params)
    )
    del stub
    return seen


def took(stub: Stubber, *ids: str, failed: tuple[str, ...] = ()) -> None:
    good = [{"Id": id_, "MessageId": "m", "MD5OfMessageBody": "x"} for id_ in ids]
    bad = [{"Id": id_, "SenderFault": False, "Code": "InternalError"} for id_ in failed]
    stub.add_response("send_message_batch", {"Successful": good, "Failed": bad})


def received(stub: Stubber, *bodies: str, **more: Any) -> None:
    stub.add_response(
        "receive_message",
        {
            "Messages": [
                {
                    "MessageId": f"m{at}",
                    "ReceiptHandle": f"r{at}",
                    "Body": body,
                    "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1"},
                    **more,
                }
                for at, body in enumerate(bodies)
            ]
        },
    )


def lease(queue: SqsQueue, stub: Stubber) -> Lease:
    received(stub, "{}")
    [taken] = queue.receive(PLAN, 1, lease_s=60)
    return taken


# --- send ----------------------------------------------------------------------------------


def test_messages_go_ten_at_a_time(
    queue: SqsQueue, stub: Stubber, sent: list[dict[str, Any]]
) -> None:
    for _ in range(3):
        took(stub)
    queue.send(PLAN, [b"%d" % index for index in range(25)])

    assert [len(batch["Entries"]) for batch in sent] == [10, 10, 5]


def test_a_batch_is_never_larger_than_sqs_takes(
    queue: SqsQueue, stub: Stubber, sent: list[dict[str, Any]]
) -> None:
    for _ in range(4):
        took(stub)
    queue.send(PLAN, [b"x" * MAX_MESSAGE_BYTES] * 10)

    sizes = [sum(len(entry["MessageBody"]) for entry in batch["Entries"]) for batch in sent]
    assert all(size <= 1 << 20 for size in sizes)
    assert sum(len(batch["Entries"]) for batch in sent) == 10


def test_those_that_failed_alone_are_sent_once_more(
    queue: SqsQueue, stub: Stubber, sent: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    name_entries(monkeypatch)
    took(stub, "e0", failed=("e1",))
    took(stub, "e1")
    queue.send(PLAN, [b"a", b"b"])

    bodies = [[entry["MessageBody"] for entry in batch["Entries"]] for batch in sent]
    assert bodies == [["a", "b"], ["b"]]


def test_those_that_fail_twice_are_an_error(
    queue: SqsQueue, stub: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_entries(monkeypatch)
    took(stub, "e0", failed=("e1",))
    took(stub, failed=("e1",))

    with pytest.raises(Unavailable, match="Some of 2 messages"):
        queue.send(PLAN, [b"a", b"b"])


def name_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give entries the ids e0, e1, … instead of random ones."""

    class Named:
        made = 0

        def __init__(self) -> None:
            self.hex = f"e{Named.made}"
            Named.made += 1

    monkeypatch.setattr("hookline.adapters.aws.messages.uuid4", Named)


@pytest.mark.parametrize("delay_s", [-1, 901])
def test_a_delay_that_sqs_cannot_make_is_refused(queue: SqsQueue, delay_s: int) -> None:
    with pytest.raises(InvalidInput, match="at most 900 s"):
        queue.send(PLAN, [b"x"], delay_s=delay_s)


def test_a_fifo_queue_orders_equal_bodies_and_swallows_none(
    queue: SqsQueue, stub: Stubber, sent: list[dict[str, Any]]
) -> None:
    took(stub)
    queue.send(RECONCILE, [b"a", b"a", b"b"], delay_s=1)
    entries = sent[0]["Entries"]
    groups = [entry["MessageGroupId"] for entry in entries]

    assert groups[0] == groups[1] != groups[2]
    assert len({entry["MessageDeduplicationId"] for entry in entries}) == 3
    assert not any("DelaySeconds" in entry for entry in entries)  # FIFO queues refuse it


# --- bodies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"tenant": "t"}',
        "é 😀 \t\r\n".encode(),
        b"",
        b"\0",
        b"\xff\xfe",
        "\ufffe".encode(),
        b"\x1b[0m",
        b"=",
        bytes(range(256)),
    ],
)
def test_any_bytes_travel(clock: FakeClock, body: bytes) -> None:
    with moto_clients(clock) as clients:
        queue = SqsQueue(clients, make_queues(clients), clock=clock, wait_s=0)
        queue.send(PLAN, [body])
        [taken] = queue.receive(PLAN, 1, lease_s=60)

    assert taken.body == body


@pytest.mark.parametrize("body", [b"{}", '{"é": 1}'.encode()])
def test_text_goes_as_it_is(
    queue: SqsQueue, stub: Stubber, sent: list[dict[str, Any]], body: bytes
) -> None:
    took(stub)
    queue.send(PLAN, [body])
    [entry] = sent[0]["Entries"]

    assert entry["MessageBody"] == body.decode()
    assert "MessageAttributes" not in entry


def test_what_sqs_cannot_carry_goes_in_base64_and_says_so(
    queue: SqsQueue, stub: Stubber, sent: list[dict[str, Any]]
) -> None:
    took(stub)
    queue.send(PLAN, [b"\xff"])
    [entry] = sent[0]["Entries"]

    assert entry["MessageBody"] == "/w==\n"
    assert entry["MessageAttributes"]["encoding"]["StringValue"] == "base64"


def test_a_message_of_eventbridge_is_delivered_as_its_json(clock: FakeClock) -> None:
    event = json.dumps({"detail-type": "Object Created", "detail": {"object": {"key": "t/é"}}})
    with moto_clients(clock) as clients:
        urls = make_queues(clients)
        clients.sqs.send_message(QueueUrl=urls[DROPS], MessageBody=event)
        queue = SqsQueue(clients, urls, clock=clock, wait_s=0)
        [taken] = queue.receive(DROPS, 1, lease_s=60)

    assert taken.body == event.encode()


# --- leases --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        *["MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"],
        *["ReceiptHandleIsInvalid", "InvalidParameterValue"],
    ],
)
def test_a_lease_that_sqs_has_ended_cannot_be_extended_and_need_not_be_acked(
    queue: SqsQueue, stub: Stubber, code: str
) -> None:
    taken = lease(queue, stub)
    stub.add_client_error("change_message_visibility", code)
    stub.add_client_error("delete_message", code)

    with pytest.raises(Conflict, match="has ended"):
        queue.extend(taken, 60)
    queue.ack(taken)


def test_a_lease_that_has_ended_here_is_not_even_mentioned_to_sqs(
    queue: SqsQueue, stub: Stubber, clock: FakeClock
) -> None:
    """SQS may honour old receipts, and take the message from its next holder."""
    taken = lease(queue, stub)
    clock.advance(60)

    with pytest.raises(Conflict):
        queue.extend(taken, 60)
    queue.ack(taken)


def test_a_lease_that_was_given_back_is_over(queue: SqsQueue, stub: Stubber) -> None:
    taken = lease(queue, stub)
    stub.add_response("change_message_visibility", {})
    queue.extend(taken, 0)

    with pytest.raises(Conflict):
        queue.extend(taken, 60)


def test_an_ack_that_did_not_get_through_can_be_repeated(queue: SqsQueue, stub: Stubber) -> None:
    taken = lease(queue, stub)
    stub.add_client_error("delete_message", "InternalError", http_status_code=500)
    stub.add_response(
        "delete_message", {}, {"QueueUrl": URLS[PLAN], "ReceiptHandle": taken.receipt}
    )

    with pytest.raises(Unavailable):
        queue.ack(taken)
    queue.ack(taken)


def test_receiving_waits_so_that_every_server_is_asked(queue: SqsQueue, stub: Stubber) -> None:
    stub.add_response(
        "receive_message",
        {},
        {
            "QueueUrl": URLS[PLAN],
            "MaxNumberOfMessages": 3,
            "VisibilityTimeout": 60,
            "WaitTimeSeconds": 1,
            "MessageSystemAttributeNames": ANY,
            "MessageAttributeNames": ["encoding"],
        },
    )

    assert list(queue.receive(PLAN, 3, lease_s=60)) == []


def test_too_many_messages_in_flight_is_throttling(queue: SqsQueue, stub: Stubber) -> None:
    stub.add_client_error("receive_message", "OverLimit", http_status_code=403)

    with pytest.raises(TooManyRequests):
        queue.receive(PLAN, 1, lease_s=60)


# --- dead letters --------------------------------------------------------------------------


def test_looking_at_dead_letters_sorts_and_gives_all_of_them_back(
    queue: SqsQueue, stub: Stubber
) -> None:
    for ages in ([30, 10], [20]):
        messages = [
            {
                "MessageId": str(age),
                "ReceiptHandle": f"r{age}",
                "Body": str(age),
                "Attributes": {"ApproximateReceiveCount": "99", "SentTimestamp": str(age)},
            }
            for age in ages
        ]
        stub.add_response("receive_message", {"Messages": messages})
    stub.add_response("receive_message", {})
    stub.add_response(
        "change_message_visibility_batch",
        {"Successful": [], "Failed": []},
        {
            "QueueUrl": URLS[PLAN + DEAD],
            "Entries": [
                {"Id": str(at), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for at, receipt in enumerate(["r30", "r10", "r20"])
            ],
        },
    )
    found = queue.dead(PLAN, 2)

    assert [(lease.body, lease.attempts, lease.receipt) for lease in found] == [
        (b"10", 5, ""),
        (b"20", 5, ""),
    ]


def test_a_queue_this_process_was_not_told_of_is_a_fault_of_its_settings(queue: SqsQueue) -> None:
    with pytest.raises(HooklineError, match="HOOKLINE_QUEUES") as caught:
        queue.send(DROPS, [b"x"])
    assert caught.value.status == 500
