"""The replicas that the gateway speaks to: those with the fewest requests first, the dead last."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from hookline.gateway.upstream import Upstream

FIRST_REST_S, LONGEST_REST_S = 0.5, 8.0


class Pool:
    """Upstreams by address. One that could not be reached rests, ever longer, then is tried again.

    It rests only while others can be reached.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._upstreams: dict[str, Upstream] = {}
        self._resting: dict[str, tuple[float, float]] = {}  # address → until when, how long

    def by_load(self, addresses: Sequence[str]) -> list[Upstream]:
        """The upstreams of these addresses in the order in which to try them."""
        known = self._upstreams
        found = [known.get(address) or self._added(address) for address in addresses]
        if len(found) > 1:
            found.sort(key=lambda upstream: upstream.in_flight)
            if self._resting:
                found.sort(key=self._rests)
        return found

    def rest(self, upstream: Upstream) -> None:
        """It could not be reached."""
        _, before_s = self._resting.get(upstream.address, (0.0, FIRST_REST_S / 2))
        rest_s = min(2 * before_s, LONGEST_REST_S)
        self._resting[upstream.address] = (self._timer() + rest_s, rest_s)

    def reached(self, upstream: Upstream) -> None:
        """It has answered."""
        if self._resting:
            self._resting.pop(upstream.address, None)

    def keep(self, addresses: Collection[str]) -> None:
        """Forget all others that are answering nothing."""
        for address, upstream in list(self._upstreams.items()):
            if address not in addresses and not upstream.in_flight:
                upstream.close()
                del self._upstreams[address]
                self._resting.pop(address, None)

    def close(self) -> None:
        """Close every idle connection."""
        for upstream in self._upstreams.values():
            upstream.close()

    def _added(self, address: str) -> Upstream:
        self._upstreams[address] = upstream = Upstream(address)
        return upstream

    def _rests(self, upstream: Upstream) -> bool:
        until, _ = self._resting.get(upstream.address, (0.0, 0.0))
        return until > self._timer()
