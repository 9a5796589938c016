"""One exchange with the API: sent, repeated where that is safe, and its errors made ours.

Retries live here and nowhere else. An exchange is repeated when the server said that nothing
happened (429, 503), and after a broken connection when the call may be made twice: reads, deletes,
and creates, which carry an Idempotency-Key.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx2
import msgspec

from hookline.client.refusals import Refusal, decoded, refusal
from hookline.client.views import SignedRequest, View
from hookline.core.errors import (
    BadRequest,
    DeadlineExceeded,
    InputChanged,
    InvalidInput,
    Unauthenticated,
    Unavailable,
)
from hookline.core.finite import not_finite

ATTEMPTS = 5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 4.0
LONGEST_RETRY_AFTER_S = 60.0
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
T = TypeVar("T", bound=View)
Build = Callable[[], httpx2.Request]


class Wire:
    """A connection pool to one endpoint. Safe to share between threads."""

    def __init__(
        self,
        endpoint: str,
        key: str,
        *,
        timeout_s: float,
        transport: httpx2.BaseTransport | None,
        sleep: Callable[[float], None],
    ) -> None:
        self._endpoint = _endpoint(endpoint)
        self._is_local = self._endpoint.host in LOOPBACK
        self._key = key
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._http = httpx2.Client(
            transport=transport,
            timeout=timeout_s,
            trust_env=not self._is_local,  # a proxy cannot reach this machine's loopback
        )

    def close(self) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        body: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        if_match: int | None = None,
    ) -> T:
        """One operation of the API: JSON out, a typed answer in."""
        return decoded(self._operate(method, path, body, params, if_match), answer)

    def delete(self, path: str) -> None:
        """An operation that answers nothing."""
        self._operate("DELETE", path)

    def pages(
        self, path: str, item: type[T], *, params: dict[str, Any] | None = None
    ) -> Iterator[T]:
        """Every item of a list, asked for page by page as they are taken."""
        token = ""
        while True:
            asked = dict(params or {}) | ({"page_token": token} if token else {})
            page = self.call("GET", path, Page, params=asked)
            for each in page.items:
                yield msgspec.convert(each, item)
            token = page.next_page_token
            if not token:
                return

    def ask(
        self,
        method: str,
        path: str,
        token: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        is_repeatable: bool = False,
    ) -> httpx2.Response:
        """A stream's answer, whichever good status it has; 303 leads to where it lies."""
        given = {"Authorization": f"Bearer {token}", **(headers or {})}
        content = None if body is None else (lambda: body)
        build = self._builder(method, path, given, content=content)
        return self._send(build, is_repeatable=is_repeatable)

    def put(
        self, request: SignedRequest, content: Callable[[], Iterator[bytes]], size_bytes: int
    ) -> None:
        """Send a file to a signed request; `content` is called anew for each attempt."""
        headers = {**request.headers, "Content-Length": str(size_bytes)}
        self._send(
            self._builder(request.method, request.url, headers, content=content),
            is_repeatable=True,
        )

    def fetch(self, request: SignedRequest) -> Iterator[bytes]:
        """The content behind a signed request, in chunks."""
        build = self._builder(request.method, request.url, request.headers)
        response = self._send(build, is_repeatable=True, is_streamed=True)
        try:
            yield from response.iter_bytes()
        except httpx2.TransportError as error:
            raise self._ours(error).error from error
        finally:
            response.close()

    def _operate(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        if_match: int | None = None,
    ) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        if if_match is not None:
            headers["If-Match"] = f'"{if_match}"'
        if method == "POST":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        if body is not None:
            headers["Content-Type"] = "application/json"
        encoded = b"" if body is None else _encoded(body)
        content = (lambda: encoded) if encoded else None
        build = self._builder(method, path, headers, params=params, content=content)
        return self._send(build, is_repeatable=True)

    def _builder(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        *,
        params: dict[str, Any] | None = None,
        content: Callable[[], bytes | Iterator[bytes]] | None = None,
    ) -> Build:
        target = self._target(url)
        _check(headers)

        def build() -> httpx2.Request:
            return self._http.build_request(
                method, target, headers=headers, params=params, content=content and content()
            )

        return build

    def _target(self, url: str) -> httpx2.URL:
        """A relative address is below the endpoint, which may have a path of its own."""
        return httpx2.URL(url if "://" in url else f"{self._endpoint}{url.lstrip('/')}")

    def _send(
        self, build: Build, *, is_repeatable: bool, is_streamed: bool = False
    ) -> httpx2.Response:
        """The first good response. Raise the error of the last attempt."""
        for attempt in range(ATTEMPTS):
            outcome = self._attempt(build, is_repeatable=is_repeatable, is_streamed=is_streamed)
            if isinstance(outcome, httpx2.Response):
                return outcome
            asked_s = outcome.retry_after_s
            if asked_s is None or asked_s > LONGEST_RETRY_AFTER_S or attempt == ATTEMPTS - 1:
                raise outcome.error
            self._sleep(max(asked_s, _pause_s(attempt)))
        raise AssertionError  # the last attempt returns or raises

    def _attempt(
        self, build: Build, *, is_repeatable: bool, is_streamed: bool
    ) -> httpx2.Response | Refusal:
        try:
            response = self._http.send(build(), stream=True)
            if not (is_streamed and response.is_success):
                response.read()
                response.close()
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            failed = self._ours(error)
            was_never_sent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            return failed if is_repeatable or was_never_sent else Refusal(failed.error)
        if response.is_success or response.status_code == httpx2.codes.SEE_OTHER:
            return response
        return refusal(response, is_repeatable=is_repeatable)

    def _ours(self, error: Exception) -> Refusal:
        """The transport's error as ours; safe to repeat where a new connection may help."""
        place = str(self._endpoint).rstrip("/")
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            hint = "Start it with `hookline up`, or name another cloud with --endpoint."
            refused = Unavailable(f"Nothing answers at {place}.", why=f"{error}.", hint=hint)
            return Refusal(refused, None if self._is_local else 0.0)
        if isinstance(error, httpx2.TimeoutException):
            what = f"{place} did not answer within {self._timeout_s:g} s."
            return Refusal(DeadlineExceeded(what, hint="Try again, or allow more time."))
        if isinstance(error, httpx2.LocalProtocolError):
            what = "A file changed its size while it was sent."
            return Refusal(InputChanged(what, why=f"{error}.", hint="Upload it again."))
        if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
            return Refusal(BadRequest(f"{place} gave an address that cannot be called: {error}."))
        return Refusal(Unavailable(f"The connection to {place} broke.", why=f"{error}."), 0.0)


class Page(View, frozen=True, kw_only=True):
    """One page of a list."""

    items: tuple[Any, ...] = ()
    next_page_token: str = ""


def _encoded(body: dict[str, Any]) -> bytes:
    """The body as JSON. Raise for a number that JSON lacks: it would arrive as null."""
    if place := not_finite(body):
        raise InvalidInput(f"{place} is not a finite number.", hint="Give another.")
    return msgspec.json.encode(body)


def _check(headers: dict[str, str]) -> None:
    """Raise where a header that came from a person cannot be sent."""
    for name, value in headers.items():
        if _HEADER_VALUE.fullmatch(value):
            continue
        if name == "Authorization":
            raise Unauthenticated(
                "What was given cannot be a token or a key.",
                why="It is empty, or has letters that none has.",
                hint="Give the token of `model deploy`, or the key of `key create`, as it is.",
            )
        raise BadRequest(f"{value!r} cannot be sent as the {name}.", hint="Use plain ASCII.")


def _endpoint(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text.rstrip("/") + "/")
    except httpx2.InvalidURL:
        url = httpx2.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        raise BadRequest(
            f"{text!r} is not an endpoint.", hint="Give a URL such as http://127.0.0.1:8700."
        )
    return url


def _pause_s(attempt: int) -> float:
    """Capped exponential backoff with jitter, so that many callers do not come back at once."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**attempt)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
