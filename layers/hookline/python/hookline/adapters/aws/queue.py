"""Queue over SQS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.errors import call
from hookline.adapters.aws.messages import ENCODING, batches, lease_of
from hookline.core.checks import check_delay, check_limit, check_messages
from hookline.core.errors import (
    Conflict,
    HooklineError,
    InvalidInput,
    NotFound,
    Unavailable,
)
from hookline.core.ports import MAX_LEASES, Lease
from hookline.core.topology import QUEUES, queue_spec

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef, SendMessageBatchRequestEntryTypeDef

DEAD = "-dead"  # `<queue>-dead` names a queue's dead letters among the URLs
WAIT_S = 1  # asks all of SQS's servers, where not waiting asks a sample of them

_LOOK_S, _LOOKS = 10, 10


class SqsQueue:
    """A lease is SQS's visibility timeout, watched here as well.

    SQS may honour the receipt of a lease that has ended (DeleteMessage API: the message "might
    not" be deleted), so a lease is used only by the process that got it, and only while it lasts.
    """

    def __init__(
        self,
        clients: Clients,
        urls: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.time,
        wait_s: int = WAIT_S,
    ) -> None:
        self._clients, self._urls, self._clock, self._wait_s = clients, urls, clock, wait_s
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def send(self, queue: str, bodies: Sequence[bytes], *, delay_s: int = 0) -> None:
        url = self._url(queue)
        check_messages(bodies)
        check_delay(queue_spec(queue), delay_s)
        for batch in batches(bodies, delay_s=delay_s, is_fifo=url.endswith(".fifo")):
            failed = self._send(url, batch)
            if failed and self._send(url, failed):  # SQS reports these apart, so nobody retried
                raise Unavailable(
                    f"Some of {len(bodies)} messages could not be sent to {queue}.",
                    hint="Send them all again; consumers expect to see a message twice.",
                )

    def receive(self, queue: str, limit: int, *, lease_s: int) -> Sequence[Lease]:
        url = self._url(queue)
        check_limit(limit, MAX_LEASES)
        asked_at = self._clock()
        leases = [lease_of(queue, message) for message in self._receive(url, limit, lease_s)]
        with self._lock:
            held = {receipt: until for receipt, until in self._until.items() if until > asked_at}
            self._until = held | {lease.receipt: asked_at + lease_s for lease in leases}
        return leases

    def extend(self, lease: Lease, lease_s: int) -> None:
        asked_at = self._clock()
        if not self._holds(lease, asked_at):
            raise _has_ended(lease)
        try:
            call(
                self._clients.sqs.change_message_visibility,
                QueueUrl=self._url(lease.queue),
                ReceiptHandle=lease.receipt,
                VisibilityTimeout=lease_s,
            )
        except (Conflict, InvalidInput) as error:  # also refused: more than 12 hours in all
            raise _has_ended(lease) from error
        with self._lock:
            self._until[lease.receipt] = asked_at + lease_s

    def ack(self, lease: Lease) -> None:
        if not self._holds(lease, self._clock()):
            return
        delete = self._clients.sqs.delete_message
        with suppress(Conflict, InvalidInput):  # SQS has ended the lease before we did
            call(delete, QueueUrl=self._url(lease.queue), ReceiptHandle=lease.receipt)
        with self._lock:
            self._until.pop(lease.receipt, None)

    def depth(self, queue: str) -> int:
        answer = call(
            self._clients.sqs.get_queue_attributes,
            QueueUrl=self._url(queue),
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesDelayed",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )
        return sum(int(count) for count in answer["Attributes"].values())

    def dead(self, queue: str, limit: int = 10) -> Sequence[Lease]:
        """The oldest of the first hundred: SQS cannot list, so they are taken and given back."""
        check_limit(limit, MAX_LEASES)
        found = self._look(self._url(queue, DEAD))
        found.sort(key=lambda message: int(message["Attributes"]["SentTimestamp"]))
        # The count of a dead letter queue grows with our looks; it died of this many deliveries.
        attempts = queue_spec(queue).max_receives
        leases = (lease_of(queue, message) for message in found[:limit])
        return [replace(lease, receipt="", attempts=attempts) for lease in leases]

    def _send(
        self, url: str, batch: Sequence[SendMessageBatchRequestEntryTypeDef]
    ) -> list[SendMessageBatchRequestEntryTypeDef]:
        """The entries that SQS did not take, in an answer that is otherwise a success."""
        answer = call(self._clients.sqs.send_message_batch, QueueUrl=url, Entries=batch)
        failed = {failure["Id"] for failure in answer.get("Failed", [])}
        return [entry for entry in batch if entry["Id"] in failed]

    def _receive(self, url: str, limit: int, lease_s: int) -> list[MessageTypeDef]:
        answer = call(
            self._clients.sqs.receive_message,
            QueueUrl=url,
            MaxNumberOfMessages=limit,
            VisibilityTimeout=lease_s,
            WaitTimeSeconds=self._wait_s,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            MessageAttributeNames=[ENCODING],
        )
        return answer.get("Messages", [])

    def _look(self, url: str) -> list[MessageTypeDef]:
        found: list[MessageTypeDef] = []
        for _ in range(_LOOKS):
            messages = self._receive(url, MAX_LEASES, _LOOK_S)
            if not messages:
                break
            found += messages
        for first in range(0, len(found), MAX_LEASES):
            self._give_back(url, found[first : first + MAX_LEASES])
        return found

    def _give_back(self, url: str, messages: Sequence[MessageTypeDef]) -> None:
        """Those that cannot be given back come back by themselves after _LOOK_S."""
        call(
            self._clients.sqs.change_message_visibility_batch,
            QueueUrl=url,
            Entries=[
                {"Id": str(at), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                for at, message in enumerate(messages)
            ],
        )

    def _holds(self, lease: Lease, now: float) -> bool:
        with self._lock:
            return self._until.get(lease.receipt, 0.0) > now

    def _url(self, queue: str, suffix: str = "") -> str:
        names = [spec.name for spec in QUEUES]
        if queue not in names:
            raise NotFound(
                f"There is no queue {queue!r}.", hint=f"The queues are {', '.join(names)}."
            )
        if queue + suffix not in self._urls:
            raise HooklineError(
                f"This process was not told where the queue {queue}{suffix} is.",
                hint="Add its URL to HOOKLINE_QUEUES.",
            )
        return self._urls[queue + suffix]


def _has_ended(lease: Lease) -> Conflict:
    return Conflict(
        f"The lease of message {lease.message_id} has ended.",
        why="Another consumer may hold the message by now.",
        hint="Drop the work in hand; the message is delivered again.",
    )
