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

_MS = rb"([0-9]{1,9}(?:\.[0-9]{1,6})?)"
_READ = re.compile(
    rb"%b, batch;desc=\"([0-9]{1,6})\"(?:, gateway;dur=%b)?"
    % (b", ".join(b"%b;dur=%b" % (stage.encode(), _MS) for stage in STAGES), _MS),
    re.ASCII,
)
_FORM = b'%b, batch;desc="%%d"' % b", ".join(b"%b;dur=%%.3f" % s.encode() for s in STAGES)


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
        found = _READ.fullmatch(value)
        if found is None:
            return None
        queue_ms, preprocess_ms, predict_ms, postprocess_ms, items, gateway_ms = found.groups()
        return cls(
            float(queue_ms),
            float(preprocess_ms),
            float(predict_ms),
            float(postprocess_ms),
            int(items),
            float(gateway_ms) if gateway_ms else None,
        )

    def through(self, total_ms: float) -> Timing:
        """As a gateway saw it, for which the request took `total_ms`."""
        return Timing(
            self.queue_ms,
            self.preprocess_ms,
            self.predict_ms,
            self.postprocess_ms,
            self.batch_items,
            max(0.0, total_ms - self.replica_ms),
        )

    def value(self) -> bytes:
        """The header's value."""
        stages = (self.queue_ms, self.preprocess_ms, self.predict_ms, self.postprocess_ms)
        text = _FORM % (*stages, self.batch_items)
        return text if self.gateway_ms is None else text + b", gateway;dur=%.3f" % self.gateway_ms
