"""What the path of a request means: the one table of everything that a replica answers.

`/predictions/TOKEN` before a path presents the token, for clients that cannot set a header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

import httptools

from hookline.core.errors import BadRequest, NotFound

GET = (b"GET", b"HEAD", b"OPTIONS")
POST = (b"POST", b"OPTIONS")
_NAME, _VERSION = "(?P<model>[^/]+)", "(?P<version>[^/]+)"
_OIP_MODEL = f"/v2/models/{_NAME}(?:/versions/{_VERSION})?"
_KEPT = 256  # paths whose meaning is remembered
_TOKEN = re.compile(r"/predictions/([^/]+)(/.*)?")


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that can be asked. `is_open`: without a token, also while the model loads."""

    name: str
    methods: tuple[bytes, ...]
    protocol: str = ""
    is_open: bool = False

    @property
    def tells_plainly(self) -> bool:
        """Whether its clients expect errors of another form than problem details."""
        return bool(self.protocol)


@dataclass(frozen=True, slots=True)
class Found:
    """An operation, with what the path says of it. `path` is without the token."""

    operation: Operation
    path: str
    model: str = ""
    version: str = ""
    token: str = ""


def _patterns(*rows: tuple[str, Operation]) -> tuple[tuple[re.Pattern[str], Operation], ...]:
    return tuple((re.compile(path), operation) for path, operation in rows)


_FIXED = {
    "/": Operation("about", GET, is_open=True),
    "/ping": Operation("ping", GET, is_open=True),
    "/metrics": Operation("metrics", GET),
    "/predict": Operation("predict", POST),
    "/invocations": Operation("invoke", POST, "sagemaker"),
    "/execution-parameters": Operation("execution_parameters", GET, is_open=True),
    "/v2": Operation("server", GET, "v2", is_open=True),
    "/v2/health/live": Operation("live", GET, "v2", is_open=True),
    "/v2/health/ready": Operation("ready", GET, "v2", is_open=True),
    "/v2/models/stats": Operation("statistics", GET, "v2"),
    "/v2/repository/index": Operation("index", POST, "v2"),
    "/v1/models": Operation("models", GET, "v1"),
}
_PATTERNS = _patterns(
    (f"/endpoints/{_NAME}/invocations", Operation("invoke", POST, "sagemaker")),
    (f"{_OIP_MODEL}/infer", Operation("infer", POST, "v2")),
    (f"{_OIP_MODEL}/ready", Operation("model_ready", GET, "v2")),
    (f"{_OIP_MODEL}/stats", Operation("statistics", GET, "v2")),
    (f"{_OIP_MODEL}/config", Operation("configuration", GET, "v2")),
    (_OIP_MODEL, Operation("metadata", GET, "v2")),
    (f"/v2/repository/models/{_NAME}/(?:un)?load", Operation("load", POST, "v2")),
    (f"/v1/models/{_NAME}:predict", Operation("predict_instances", POST, "v1")),
    (f"/v1/models/{_NAME}", Operation("model_status", GET, "v1")),
)


@lru_cache(_KEPT)
def found(url: bytes) -> Found:
    """What `url` asks for. Raise NotFound, or BadRequest where it cannot be read."""
    path, token = _split(_raw_path(url))
    operation = _FIXED.get(unquote(path))
    if operation is not None:
        return Found(operation, unquote(path), token=token)
    for pattern, operation in _PATTERNS:
        if match := pattern.fullmatch(path):
            said = {name: unquote(value or "") for name, value in match.groupdict().items()}
            return Found(operation, path, token=token, **said)
    raise NotFound("There is nothing at this path.", hint="Post to /predict, or read /ping.")


def _raw_path(url: bytes) -> str:
    """The path as it was sent: a name may have a slash, if that is quoted."""
    try:
        path = httptools.parse_url(url).path
        return path.decode("ascii") if path else "/"
    except (httptools.HttpParserInvalidURLError, UnicodeDecodeError) as error:
        raise BadRequest("The URL of the request cannot be read.") from error


def _split(path: str) -> tuple[str, str]:
    match = _TOKEN.fullmatch(path)
    return (match[2] or "/predict", unquote(match[1])) if match else (path, "")
