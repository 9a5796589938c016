"""Where the time of a request went, as the header Server-Timing tells it.

https://www.w3.org/TR/server-timing/ has durations in milliseconds. It is sent to who asks for it
with `X-Request-Timing: 1`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ASK = (b"x-request-timing", b"1")
NAME = b"server-timing"
STAGES = ("queue", "preprocess", "predict", "postprocess")

_MAX_BYTES = 1024
_DURATION = re.compile(rb"([a-z]{5,11});dur=([0-9]{1,9}(?:\.[0-9]{1,6})?)", re.ASCII)
_FORM = b'%b, batch;desc="%%d"' % b", ".join(b"%b;dur=%%.3f" % s.encode() for s in STAGES)
_BATCH = re.compile(rb'batch;desc="([0-9]{1,6})"', re.ASCII)


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of a request in each stage, and how many were in its batch.

    All but `queue_ms` are those of the batch as a whole. `gateway_ms` is what passed outside the
    replica, and None where there was no gateway.
    """

    queue_ms: float
    preprocess_ms: float
    predict_ms: float
    postprocess_ms: float
    batch_items: int
    gateway_ms: float | None = None

    @property
    def replica_ms(self) -> float:
        return self.queue_ms + self.preprocess_ms + self.predict_ms + self.postprocess_ms

    @classmethod
    def parsed(cls, value: bytes) -> Timing | None:
        """What the header's value says; None if it is not what a replica writes."""
        durations = {name.decode(): float(ms) for name, ms in _DURATION.findall(value[:_MAX_BYTES])}
        batch = _BATCH.search(value[:_MAX_BYTES])
        if batch is None or any(stage not in durations for stage in STAGES):
            return None
        queue_ms, preprocess_ms, predict_ms, postprocess_ms = map(durations.__getitem__, STAGES)
        return cls(
            queue_ms,
            preprocess_ms,
            predict_ms,
            postprocess_ms,
            int(batch[1]),
            durations.get("gateway"),
        )

    def value(self) -> bytes:
        """The header's value."""
        stages = (self.queue_ms, self.preprocess_ms, self.predict_ms, self.postprocess_ms)
        text = _FORM % (*stages, self.batch_items)
        return text if self.gateway_ms is None else text + b", gateway;dur=%.3f" % self.gateway_ms
