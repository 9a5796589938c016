"""What a response that is no answer means: an error of ours, and whether to ask again."""

from __future__ import annotations

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

T = TypeVar("T", bound=View)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An exchange that failed. `retry_after_s` is None when repeating it could do harm."""

    error: HooklineError
    retry_after_s: float | None = None


def refusal(response: httpx2.Response) -> Refusal:
    """Why the server refused, and whether asking again is safe: after a 429 or a 503."""
    error = _error(response)
    return Refusal(error, _retry_after_s(response) if response.status_code in {429, 503} else None)


def _retry_after_s(response: httpx2.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "0")))
    except ValueError:  # a date: the backoff alone decides
        return 0.0


def _error(response: httpx2.Response) -> HooklineError:
    """The error a response stands for: the API's own problem, or the nearest by its status."""
    members = _problem(response)
    if members.get("code") in errors.BY_CODE:
        error = errors.from_problem(members)
    else:
        kind = BY_STATUS.get(response.status_code, HooklineError)
        what = members.get("title") or f"{response.url.host} answered {response.status_code}."
        error = kind(str(what), why=str(members.get("detail", "")))
    if error.status >= 500 and members.get("request_id"):  # noqa: PLR2004 - the server's own faults
        request = members["request_id"]
        error.why = (
            f"{error.why.rstrip('.')} (request {request})."
            if error.why
            else (f"Request {request}.")
        )
    return error


def _problem(response: httpx2.Response) -> dict[str, Any]:
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
