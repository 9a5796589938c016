"""Disorder that queues are allowed to make, made often and from a seed: HOOKLINE_CHAOS."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hookline.core.ports import MAX_DELAY_S, Lease, Queue
from hookline.core.topology import queue_spec

_DUPLICATED = 0.2
_DELAYED = 0.2
_MAX_DELAY_S = 2


class ChaosQueue:
    """Duplicates, reorders and delays messages; loses none."""

    def __init__(self, queue: Queue, seed: int) -> None:
        self._queue, self._random = queue, Random(seed)  # noqa: S311 - disorder, not a secret

    def send(self, queue: str, bodies: Sequence[bytes], *, delay_s: int = 0) -> None:
        doubled = [body for body in bodies if self._random.random() < _DUPLICATED]
        disordered = [*bodies, *doubled]
        self._random.shuffle(disordered)
        cut = sum(self._random.random() < _DELAYED for _ in disordered)
        late, prompt = disordered[:cut], disordered[cut:]
        self._queue.send(queue, prompt, delay_s=delay_s)
        self._queue.send(queue, late, delay_s=self._later_s(queue, delay_s))

    def _later_s(self, queue: str, delay_s: int) -> int:
        """More than `delay_s` by a little, where the queue can make such a delay."""
        spec = queue_spec(queue)
        later_s = min(delay_s + self._random.randint(1, _MAX_DELAY_S), MAX_DELAY_S)
        return spec.delay_s if spec.is_fifo else later_s

    def receive(self, queue: str, limit: int, *, lease_s: int) -> Sequence[Lease]:
        leases = list(self._queue.receive(queue, limit, lease_s=lease_s))
        self._random.shuffle(leases)
        return leases

    def extend(self, lease: Lease, lease_s: int) -> None:
        self._queue.extend(lease, lease_s)

    def ack(self, lease: Lease) -> None:
        self._queue.ack(lease)

    def depth(self, queue: str) -> int:
        return self._queue.depth(queue)

    def dead(self, queue: str, limit: int = 10) -> Sequence[Lease]:
        return self._queue.dead(queue, limit)
