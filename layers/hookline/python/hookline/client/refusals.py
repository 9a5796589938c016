"""What a response that is no answer means: an error of ours, and whether to ask again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
import msgspec

from hookline.client.views import View
from hookline.core import errors
from hookline.core.errors import HooklineError

BY_STATUS: dict[int, type[HooklineError]] = {
    kind.status: kind
    for kind in (
        errors.BadRequest,
        errors.Unauthenticated,
        errors.Forbidden,
        errors.NotFound,
        errors.Conflict,
        errors.TooLarge,
        errors.UnsupportedMediaType,
        errors.InvalidInput,
        errors.TooManyRequests,
        errors.Unavailable,
        errors.DeadlineExceeded,
    )
}

TOO_MANY, BUSY = 429, 503
HINTS = {
    401: "Check the key: `hookline config` says where the one that is sent comes from.",
    403: "Check the key: `hookline config` says where the one that is sent comes from.",
    413: "API Gateway takes 10 MB. Upload larger files to a volume and predict it as a batch.",
}
MAX_SAID_CHARS = 200
_XML_MESSAGE = re.compile(r"<Message>([^<]+)</Message>")

T = TypeVar("T", bound=View)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An exchange that failed. `retry_after_s` is None when repeating it could do harm."""

    error: HooklineError
    retry_after_s: float | None = None


def refusal(response: httpx2.Response, *, is_repeatable: bool = True) -> Refusal:
    """Why the server refused, and whether asking again is safe: after a 429 or a 503.

    What is not repeatable may be sent again after a 503 of our own, which has not begun with it.
    What stands in front of the server says 503 as well when it stops to wait for the answer.
    """
    is_ours, error = _error(response)
    status = response.status_code
    is_safe = status == TOO_MANY or (status == BUSY and (is_repeatable or is_ours))
    return Refusal(error, _retry_after_s(response) if is_safe else None)


def _retry_after_s(response: httpx2.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "0")))
    except ValueError:  # a date: the backoff alone decides
        return 0.0


def _error(response: httpx2.Response) -> tuple[bool, HooklineError]:
    """The error a response stands for, and whether it is the API's own problem.

    Otherwise it is the nearest by its status, in the words of whoever answered.
    """
    members = _members(response)
    is_ours = members.get("code") in errors.BY_CODE
    error = errors.from_problem(members) if is_ours else _foreign(response, members)
    if error.status >= 500 and members.get("request_id"):  # noqa: PLR2004 - the server's own faults
        request = members["request_id"]
        error.why = (
            f"{error.why.rstrip('.')} (request {request})."
            if error.why
            else (f"Request {request}.")
        )
    return is_ours, error


def _foreign(response: httpx2.Response, members: dict[str, Any]) -> HooklineError:
    status = response.status_code
    said = _said(response, members)
    told = f"{status}: {said.rstrip('.')}" if said else f"{status}"
    what = members.get("title") or f"{response.url.host} answered {told}."
    kind = BY_STATUS.get(status, HooklineError)
    return kind(str(what), why=str(members.get("detail", "")), hint=HINTS.get(status, ""))


def _said(response: httpx2.Response, members: dict[str, Any]) -> str:
    """The message of API Gateway, of S3 or of the load balancer, as far as it is a sentence."""
    said = str(members.get("message", ""))
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    if kind.endswith("/xml") and (found := _XML_MESSAGE.search(response.text)):
        said = found[1]
    elif kind == "text/plain":
        said = response.text
    return "".join(char for char in said.strip() if char.isprintable())[:MAX_SAID_CHARS]


def _members(response: httpx2.Response) -> dict[str, Any]:
    try:
        members = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return {}
    return members if isinstance(members, dict) else {}


def decoded(response: httpx2.Response, answer: type[T]) -> T:
    """The body as a typed answer; fields that this release does not know are ignored."""
    try:
        return msgspec.json.decode(response.content, type=answer)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise HooklineError(
            f"{response.url.host} gave an answer that this version does not understand.",
            why=f"{error}.",
            hint="Check that --endpoint is a hookline cloud, and that both have one version.",
        ) from error
