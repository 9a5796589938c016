"""The gateway's own pulse: tells what its streams have in hand, and counts what they did."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress

from hookline.core.loads import Recent
from hookline.gateway.load import Lane, Numbers, Report
from hookline.gateway.teller import Teller

log = logging.getLogger(__name__)

TICK_S = 2.0
COUNT_S = 60.0  # CloudWatch's standard resolution
REST_S = 0.5  # however much haste there is

Lanes = MutableMapping[tuple[str, int], Lane]
Count = Callable[[Sequence[Numbers], float], None]


class Reporter:
    """`teller` writes loads; `count` gets the numbers of each minute, as emf.print_emf does."""

    def __init__(self, teller: Teller | None = None, count: Count | None = None) -> None:
        self._teller, self._count = teller, count
        self._haste = asyncio.Event()

    def hurry(self) -> None:
        """Report at once: someone waits."""
        self._haste.set()

    async def run(self, lanes: Lanes, tidy: Callable[[], None]) -> None:
        """Until cancelled. `tidy` is called at every count."""
        count_at = time.monotonic() + COUNT_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._haste.wait()
            self._haste.clear()
            try:
                await self.report(lanes)
                if time.monotonic() >= count_at:
                    count_at += COUNT_S
                    self.count(lanes)
                    tidy()
            except Exception:  # the edge of this task: its end would leave every stream as it is
                log.exception("report_failed")
            await asyncio.sleep(REST_S)

    async def report(self, lanes: Lanes) -> None:
        """Tell the loads that are worth it, and what was answered of late."""
        now = time.monotonic()
        all_lanes = list(lanes.values())
        reports = [report for lane in all_lanes if (report := lane.report(now))]
        recents = [(lane.tenant, lane.stream_id, lane.recent()) for lane in all_lanes]
        told = [(tenant, stream_id, one) for tenant, stream_id, one in recents if one]
        if self._teller and (reports or told):
            await asyncio.to_thread(self._tell, self._teller, reports, told)

    def _tell(
        self, teller: Teller, reports: list[Report], told: list[tuple[str, int, Recent]]
    ) -> None:
        if reports:
            teller.tell(reports)
        for tenant, stream_id, recent in told:
            teller.tell_traffic(tenant, stream_id, recent)

    def count(self, lanes: Lanes) -> None:
        """Hand on the numbers, and forget the streams that had none."""
        now = time.monotonic()
        for place, lane in list(lanes.items()):
            if lane.is_forgotten(now):
                del lanes[place]
        numbers = [lane.count() for lane in lanes.values() if not lane.is_idle]
        if numbers and self._count:
            self._count(numbers, time.time())
