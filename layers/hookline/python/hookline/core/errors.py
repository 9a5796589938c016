"""Every error hookline raises on purpose: a sentence for a person, a code for a program.

HooklineError                    500  internal
├── CallerError                       the caller must change the request
│   ├── BadRequest               400  bad_request
│   ├── Unauthenticated          401  unauthenticated
│   ├── Forbidden                403  forbidden
│   ├── NotFound                 404  not_found
│   ├── MethodNotAllowed         405  method_not_allowed
│   ├── RequestTimeout           408  request_timeout
│   ├── Conflict                 409  conflict
│   │   └── QuotaExceeded        409  quota_exceeded
│   ├── TooLarge                 413  too_large
│   ├── UnsupportedMediaType     415  unsupported_media_type
│   ├── HeadTooLarge             431  head_too_large
│   └── InvalidInput             422  invalid_input
│       ├── InvalidModel         422  invalid_model
│       ├── InvalidBundle        422  invalid_bundle
│       ├── InputChanged         422  input_changed
│       └── IdempotencyMismatch  422  idempotency_mismatch
├── HookFailed                   500  hook_failed       the user's hook raised
├── HookCrashed                  500  hook_crashed      the user's hook killed its process
├── InvalidOutput                500  invalid_output    a hook or model answered nonsense
├── ModelLoadFailed              500  model_load_failed
├── Unsupported                  501  unsupported       no release of ours does that
├── DeadlineExceeded             504  deadline_exceeded
└── Transient                         nothing is wrong with the request; retrying is safe
    ├── TooManyRequests          429  too_many_requests
    ├── Overloaded               503  overloaded
    ├── NotReady                 503  not_ready
    └── Unavailable              503  unavailable
"""

from __future__ import annotations

from typing import ClassVar


class HooklineError(Exception):
    """What happened, why, and what to do next.

    `code` is part of the API and never changes; the sentences may. `trace` holds the lines of the
    user's own code that led here, when the fault is in a hook.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, what: str, *, why: str = "", hint: str = "", trace: str = "") -> None:
        super().__init__(what, why, hint, trace)
        self.what, self.why, self.hint, self.trace = what, why, hint, trace

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.hint) if part)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.why, self.hint, self.trace)


def _rebuild(
    kind: type[HooklineError], what: str, why: str, hint: str, trace: str
) -> HooklineError:
    return kind(what, why=why, hint=hint, trace=trace)


class CallerError(HooklineError):
    """The caller must change the request."""


class BadRequest(CallerError):
    code, status = "bad_request", 400


class Unauthenticated(CallerError):
    code, status = "unauthenticated", 401


class Forbidden(CallerError):
    code, status = "forbidden", 403


class NotFound(CallerError):
    code, status = "not_found", 404

    @classmethod
    def of(cls, kind: str, record_id: object, hint: str = "") -> NotFound:
        """Name the kind and the id, as every 404 does."""
        return cls(
            f"There is no {kind} {record_id}.", hint=hint or f"List them with `{kind} list`."
        )


class MethodNotAllowed(CallerError):
    code, status = "method_not_allowed", 405


class RequestTimeout(CallerError):
    code, status = "request_timeout", 408


class Conflict(CallerError):
    code, status = "conflict", 409


class QuotaExceeded(Conflict):
    code = "quota_exceeded"


class TooLarge(CallerError):
    code, status = "too_large", 413


class UnsupportedMediaType(CallerError):
    code, status = "unsupported_media_type", 415


class HeadTooLarge(CallerError):
    code, status = "head_too_large", 431


class InvalidInput(CallerError):
    code, status = "invalid_input", 422


class InvalidModel(InvalidInput):
    code = "invalid_model"


class InvalidBundle(InvalidInput):
    code = "invalid_bundle"


class InputChanged(InvalidInput):
    code = "input_changed"


class IdempotencyMismatch(InvalidInput):
    code = "idempotency_mismatch"


class HookFailed(HooklineError):
    code = "hook_failed"


class HookCrashed(HooklineError):
    code = "hook_crashed"


class InvalidOutput(HooklineError):
    code = "invalid_output"


class ModelLoadFailed(HooklineError):
    code = "model_load_failed"


class Unsupported(HooklineError):
    code, status = "unsupported", 501


class DeadlineExceeded(HooklineError):
    code, status, retryable = "deadline_exceeded", 504, True


class Transient(HooklineError):
    """Nothing is wrong with the request; retrying is safe."""

    retryable = True


class TooManyRequests(Transient):
    code, status = "too_many_requests", 429


class Overloaded(Transient):
    code, status = "overloaded", 503


class NotReady(Transient):
    code, status = "not_ready", 503


class Unavailable(Transient):
    code, status = "unavailable", 503


def _all_kinds(root: type[HooklineError]) -> list[type[HooklineError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _all_kinds(child))]


BY_CODE: dict[str, type[HooklineError]] = {
    kind.code: kind for kind in _all_kinds(HooklineError) if kind not in (CallerError, Transient)
}


def problem(error: HooklineError, *, request_id: str) -> dict[str, object]:
    """RFC 9457 problem details of `error`; members without a value are left out."""
    members = {
        "type": f"urn:hookline:error:{error.code}",
        "title": error.what,
        "status": error.status,
        "detail": error.why,
        "code": error.code,
        "hint": error.hint,
        "trace": error.trace,
        "request_id": request_id,
    }
    return {name: value for name, value in members.items() if value != ""}


def plain_error(error: HooklineError, *, request_id: str) -> dict[str, object]:
    """The same for clients of other protocols: they look for `error`, AWS's for `message`."""
    sentence = str(error)
    return {"error": sentence, "message": sentence, "code": error.code, "request_id": request_id}


def from_problem(members: dict[str, object]) -> HooklineError:
    """The error that `problem` described; an unknown code becomes a plain HooklineError."""
    kind = BY_CODE.get(str(members.get("code", "")), HooklineError)
    text = {name: str(members.get(name, "")) for name in ("title", "detail", "hint", "trace")}
    return kind(text["title"], why=text["detail"], hint=text["hint"], trace=text["trace"])
