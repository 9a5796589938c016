"""A queue as bad as a queue may be: it repeats, reorders, delays, and forgets what was acked."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hookline.core.errors import Conflict
from hookline.core.ports import Lease, Queue
from hookline.core.topology import queue_spec

MAX_DELAY_S = 90  # past every lease of a worker


class HostileQueue:
    """Does to each message, with the probability `rate`, what at-least-once delivery permits.

    Sends are doubled and delayed. An acked message may come again later, as when the delete was
    lost. A lease may be gone when it is extended, and the same message be given out twice at once.
    It stops being hostile when `is_calm` is set, so that what was begun can come to its end.
    """

    def __init__(self, queue: Queue, seed: int, rate: float) -> None:
        self._queue, self._random, self._rate = queue, Random(seed), rate
        self.is_calm = False
        self.wrongs = 0

    def send(self, queue: str, bodies: Sequence[bytes], *, delay_s: int = 0) -> None:
        twice = [body for body in bodies if self._strikes()]
        disordered = [*bodies, *twice]
        self._random.shuffle(disordered)
        may_wait = not queue_spec(queue).is_fifo  # those delay all messages alike
        late = [body for body in disordered if may_wait and self._strikes()]
        for body in late:
            disordered.remove(body)
        if disordered:
            self._queue.send(queue, disordered, delay_s=delay_s)
        for body in late:
            self._queue.send(queue, [body], delay_s=delay_s + self._random.randint(1, MAX_DELAY_S))

    def receive(self, queue: str, limit: int, *, lease_s: int) -> Sequence[Lease]:
        leases = list(self._queue.receive(queue, limit, lease_s=lease_s))
        for lease in leases:
            if self._strikes():  # somebody else is given it as well
                self._queue.send(queue, [lease.body])
        self._random.shuffle(leases)
        return leases

    def extend(self, lease: Lease, lease_s: int) -> None:
        if self._strikes():
            raise Conflict(f"The lease of message {lease.message_id} has ended.")
        self._queue.extend(lease, lease_s)

    def ack(self, lease: Lease) -> None:
        if self._strikes():
            self._queue.send(lease.queue, [lease.body], delay_s=self._random.randint(1, 30))
        if not self._strikes():
            self._queue.ack(lease)

    def depth(self, queue: str) -> int:
        return self._queue.depth(queue)

    def dead(self, queue: str, limit: int = 10) -> Sequence[Lease]:
        return self._queue.dead(queue, limit)

    def _strikes(self) -> bool:
        is_wrong = not self.is_calm and self._random.random() < self._rate
        self.wrongs += is_wrong
        return is_wrong
