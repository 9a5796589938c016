"""What the path of a request to the gateway says: which stream, and what to ask its replica."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_PREDICT = b"/predict"
_OWN = (
    re.compile(r"/streams/(?P<stream_id>[0-9]{1,10})/predict"),
    re.compile(r"/predict"),
    re.compile(r"/predictions/(?P<token>[^/]+)"),
)
# What a replica answers in other protocols; nothing else reaches one, or wakes it.
_SPOKEN = (
    r"(?P<asked>/v2(?:/.*)?|/v1/models(?:/.*)?|/ping|/invocations|/execution-parameters"
    r"|/endpoints/[^/]+/invocations)"
)
_STREAM, _TOKEN = r"/streams/(?P<stream_id>[0-9]{1,10})", "/predictions/(?P<token>[^/]+)"
_UPLOADS = re.compile(rf"(?:/predict|{_STREAM}|{_TOKEN})/uploads")
_RESULTS = re.compile(rf"(?:{_STREAM}|{_TOKEN})/results/(?P<result>[^/]+)")
_OTHERS = (
    re.compile(r"(?P<asked>/v2(?:/.*)?)"),
    re.compile(rf"{_STREAM}{_SPOKEN}"),
    re.compile(rf"{_TOKEN}{_SPOKEN}"),
)
_PLAIN = re.compile(rb"/(?:v1|v2|endpoints|invocations)(?:/|$)")


@dataclass(frozen=True, slots=True)
class Call:
    """A request for a stream. `path` is the replica's, as it was sent.

    `is_upload` asks for a place to upload a body to, `result` for a prediction that was deferred.

    `is_plain`: its clients expect errors as other protocols tell them.
    """

    token: str = ""
    stream_id: int | None = None
    path: bytes = _PREDICT
    methods: tuple[str, ...] = ("POST",)
    is_upload: bool = False
    result: str = ""

    @property
    def is_plain(self) -> bool:
        return _PLAIN.match(self.path) is not None

    @classmethod
    def of(cls, path: str, raw_path: bytes) -> Call | None:
        """None for a path that is not the gateway's."""
        if raw_path == _PREDICT:  # as it is sent nearly always
            return _PLAIN_CALL
        for pattern in _OWN:
            if found := pattern.fullmatch(path):
                said = found.groupdict()
                stream_id = said.get("stream_id")
                return cls(said.get("token", ""), int(stream_id) if stream_id else None)
        return cls._other(raw_path.decode("latin-1"))

    @classmethod
    def _other(cls, path: str) -> Call | None:
        if found := _UPLOADS.fullmatch(path):
            return cls(*_who(found), is_upload=True)
        if found := _RESULTS.fullmatch(path):
            return cls(*_who(found), methods=("GET",), result=found["result"])
        for pattern in _OTHERS:
            if found := pattern.fullmatch(path):
                return cls(*_who(found), found["asked"].encode("latin-1"), ("GET", "POST"))
        return None


_PLAIN_CALL = Call()


def _who(found: re.Match[str]) -> tuple[str, int | None]:
    """Token and stream, as far as a path says them."""
    said = found.groupdict()
    stream_id = said.get("stream_id")
    return unquote(said.get("token") or ""), int(stream_id) if stream_id else None
