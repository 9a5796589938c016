"""The HTTP face of a replica: one ASGI application, without a framework.

POST /predict (and SageMaker's /invocations), GET /ping, GET /.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence

from hookline.core.errors import (
    BadRequest,
    DeadlineExceeded,
    HooklineError,
    InvalidOutput,
    MethodNotAllowed,
    NotFound,
    NotReady,
    Unauthenticated,
)
from hookline.core.secrets import digest, same
from hookline.runtime import asgi, logs
from hookline.runtime.asgi import Receive, Scope, Send
from hookline.runtime.batcher import Batcher
from hookline.runtime.items import Answer, Item
from hookline.runtime.spec import ServerSpec

log = logging.getLogger(__name__)

Header = tuple[bytes, bytes]

_READ = ("GET", "HEAD", "OPTIONS")
_WRITE = ("POST", "OPTIONS")
_METHODS = {"/predict": _WRITE, "/invocations": _WRITE, "/ping": _READ, "/": _READ}

_SERVER_ERROR = 500
_MILLISECONDS = re.compile(r"0*[1-9][0-9]{0,9}", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x20-\x7e]+")
_HANG_UP = (b"connection", b"close")
_SEE_LOG = "The log of the stream has the lines of the hook: `hookline stream logs ID`."


class _Refusal(Exception):
    """An error whose answer needs a header of its own."""

    def __init__(self, error: HooklineError, header: Header) -> None:
        super().__init__(error, header)
        self.error, self.header = error, header


class Application:
    """Answers NotReady until `open` gives it a batcher; while draining it serves and hangs up."""

    def __init__(self, spec: ServerSpec) -> None:
        self._spec = spec
        self._batcher: Batcher | None = None
        self._is_draining = False

    def open(self, batcher: Batcher) -> None:
        """Be ready: predict through `batcher`."""
        self._batcher = batcher

    def drain(self) -> None:
        """Look unready and close every connection after its answer, but answer."""
        self._is_draining = True

    @property
    def status(self) -> str:
        """What /ping is about: loading, ready or draining."""
        if self._is_draining:
            return "draining"
        return "loading" if self._batcher is None else "ready"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        request = asgi.request_id(scope)
        logs.request_id.set(request)
        try:
            await self._route(scope, receive, send, request)
        except asgi.ClientGone:
            log.debug("client_gone")
        except _Refusal as refusal:
            await self._refuse(send, refusal.error, request, refusal.header)
        except HooklineError as error:
            await self._refuse(send, error, request)
        except asyncio.CancelledError:  # the drain took too long
            await self._refuse(send, NotReady("This replica had to stop."), request)
        except Exception:
            log.exception("request_broken")
            await self._respond_problem(send, HooklineError("internal error"), request)

    async def _route(self, scope: Scope, receive: Receive, send: Send, request: str) -> None:
        path, method = scope["path"], scope["method"]
        methods = _METHODS.get(path, ())
        allow = (b"allow", ", ".join(methods).encode())
        if not methods:
            hint = "Post to /predict, or read /ping."
            raise NotFound("There is nothing at this path.", hint=hint)
        if method == "OPTIONS":
            await self._respond(send, request, b"", [allow])
        elif method not in methods:
            raise _Refusal(MethodNotAllowed(f"{path} does not take {method[:16]}."), allow)
        elif methods is _WRITE:
            answer = await self._predict(scope, receive)
            await self._respond(send, request, answer.body, [_content_type(answer)])
        else:
            await self._tell(send, path, request)

    async def _tell(self, send: Send, path: str, request: str) -> None:
        if path == "/ping" and self.status != "ready":
            raise NotReady(f"This replica is {self.status}.", hint="Ask again in a moment.")
        info = f'{{"name":"hookline","status":"{self.status}"}}'
        await self._respond(send, request, info.encode(), [(b"content-type", b"application/json")])

    async def _predict(self, scope: Scope, receive: Receive) -> Answer:
        """The answer to one body. Raise ClientGone when nobody waits for it any more."""
        self._authenticate(scope)
        if self._batcher is None:
            raise NotReady("This replica is loading its model.", hint="Retry after a moment.")
        now_s = asyncio.get_running_loop().time
        deadline_s = now_s() + self._timeout_s(scope)
        body = await self._body(scope, receive, deadline_s)
        item = Item(body, asgi.header(scope, b"content-type") or "application/octet-stream")
        prediction = self._batcher.submit(item, timeout_s=max(0.0, deadline_s - now_s()))
        return await _unless_gone(asyncio.ensure_future(prediction), receive)

    async def _body(self, scope: Scope, receive: Receive, deadline_s: float) -> bytes:
        try:
            async with asyncio.timeout_at(deadline_s):
                return await asgi.read_body(scope, receive, self._spec.max_body_bytes)
        except TimeoutError:
            late = DeadlineExceeded("The request body did not arrive in time.")
            raise _Refusal(late, _HANG_UP) from None

    def _authenticate(self, scope: Scope) -> None:
        """Raise Unauthenticated; the time taken does not tell how close a token was."""
        known = self._spec.token_sha256
        token = asgi.bearer(scope)
        is_known = sum(same(digest(token), one) for one in known) > 0
        if known and not (token and is_known):
            error = Unauthenticated(
                "The token is missing or wrong.", hint="Send `Authorization: Bearer TOKEN`."
            )
            raise _Refusal(error, (b"www-authenticate", b"Bearer"))

    def _timeout_s(self, scope: Scope) -> float:
        text = asgi.header(scope, b"x-request-timeout-ms")
        if not text:
            return self._spec.request_timeout_s
        if not _MILLISECONDS.fullmatch(text):
            raise BadRequest("X-Request-Timeout-Ms must be a whole number of milliseconds above 0.")
        return min(int(text) / 1000, self._spec.request_timeout_s)

    async def _refuse(
        self, send: Send, error: HooklineError, request: str, *headers: Header
    ) -> None:
        """Answer with the problem; the trace of the user's code stays in the log."""
        if error.status >= _SERVER_ERROR:
            extra = {"code": error.code, "what": error.what, "trace": error.trace}
            log.warning("request_failed", extra=extra)
        hint = error.hint or (_SEE_LOG if error.trace else "")
        shown = type(error)(error.what, why=error.why, hint=hint)
        await self._respond_problem(send, shown, request, *headers)

    async def _respond_problem(
        self, send: Send, error: HooklineError, request: str, *headers: Header
    ) -> None:
        all_headers = [*headers, _HANG_UP] if self._is_draining else headers
        await asgi.respond_problem(send, error, request, headers=all_headers)

    async def _respond(
        self, send: Send, request: str, body: bytes, headers: Sequence[Header]
    ) -> None:
        own = [(b"x-request-id", request.encode())]
        if self._is_draining:
            own.append(_HANG_UP)
        await asgi.respond(send, 200, [*headers, *own], body)


def _content_type(answer: Answer) -> Header:
    if not _HEADER_VALUE.fullmatch(answer.mime_type):
        raise InvalidOutput(
            f"The answer's MIME type is {answer.mime_type!r}.",
            hint="Return printable ASCII, such as application/json.",
        )
    return b"content-type", answer.mime_type.encode()


async def _unless_gone(prediction: asyncio.Future[Answer], receive: Receive) -> Answer:
    """The prediction, withdrawn with ClientGone when the caller hangs up before it is there."""
    gone = asyncio.ensure_future(asgi.until_gone(receive))
    try:
        await asyncio.wait((prediction, gone), return_when=asyncio.FIRST_COMPLETED)
        if not prediction.done():
            raise asgi.ClientGone
        return prediction.result()
    finally:
        prediction.cancel()
        gone.cancel()
