"""Tells the loads of streams to the reconciler: a leased record each, and a message in haste."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from uuid import uuid4

from hookline.core.errors import Conflict, HooklineError
from hookline.core.loads import Load, Recent, Traffic
from hookline.core.ports import Catalog, Queue
from hookline.core.topology import RECONCILE
from hookline.gateway.load import Report

log = logging.getLogger(__name__)


class Teller:
    """The gateway's way to the reconciler, the same in both worlds. One caller at a time."""

    def __init__(self, catalog: Catalog, queue: Queue, clock: Callable[[], float]) -> None:
        self._catalog, self._queue, self._clock = catalog, queue, clock
        self._gateway_id = uuid4().hex
        self._versions: dict[tuple[str, str, int], int] = {}

    def tell(self, reports: Sequence[Report]) -> None:
        """Write the reports. What cannot be written is told again with the next ones."""
        for report in reports:
            try:
                self._write(report)
                if report.is_urgent:
                    body = {"tenant": report.tenant, "stream_id": report.stream_id}
                    self._queue.send(RECONCILE, [json.dumps(body).encode()])
            except HooklineError as error:
                extra = {"stream_id": report.stream_id, "why": str(error)}
                log.warning("load_untold", extra=extra)

    def tell_traffic(self, tenant: str, stream_id: int, recent: Recent) -> None:
        """Write what was answered of late. What cannot be written is not missed."""
        try:
            self._put(
                Traffic(
                    tenant=tenant,
                    stream_id=stream_id,
                    gateway_id=self._gateway_id,
                    recent=recent,
                    updated_at=self._clock(),
                )
            )
        except HooklineError as error:
            log.warning("traffic_untold", extra={"stream_id": stream_id, "why": str(error)})

    def _write(self, report: Report) -> None:
        load = Load(
            tenant=report.tenant,
            stream_id=report.stream_id,
            gateway_id=self._gateway_id,
            in_flight=report.in_flight,
            waiting=report.waiting,
            updated_at=self._clock(),
        )
        self._put(load)

    def _put(self, record: Load | Traffic) -> None:
        place = (record.kind, record.tenant, record.stream_id)
        record = record.changed(version=self._versions.get(place, 0))
        try:
            self._versions[place] = self._catalog.put(record).version
        except Conflict:  # the reconciler has removed it, since it had expired
            found = self._catalog.get(type(record), record.tenant, record.key)
            again = record.changed(version=found.version if found else 0)
            self._versions[place] = self._catalog.put(again).version
