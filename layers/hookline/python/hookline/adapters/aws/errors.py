"""The one place where botocore's errors become ours. The original is kept as the cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from hookline.core.errors import (
    Conflict,
    Forbidden,
    HooklineError,
    InvalidInput,
    NotFound,
    TooManyRequests,
    Unavailable,
)

P = ParamSpec("P")
T = TypeVar("T")
Answer = TypeVar("Answer", bound=Mapping[str, Any])

_SERVER_FAULT = 500
_ABSENT = frozenset(
    {
        "404",  # HeadObject has no body to name its error in
        "GetLogEvents:ResourceNotFoundException",
        "NoSuchBucket",
        "NoSuchKey",
        "Publish:NotFound",
        "ServiceNotFoundException",
    }
)
_DENIED = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "AuthorizationError",  # SNS
    }
)
_MOVED_ON = frozenset(
    {
        "ConditionalCheckFailedException",
        "ConditionalRequestConflict",
        "MessageNotInflight",
        "AWS.SimpleQueueService.MessageNotInflight",
        "PreconditionFailed",
        "ReceiptHandleIsInvalid",
        "TransactionCanceledException",
        "TransactionConflictException",
    }
)
_REFUSED = frozenset({"InvalidParameterValue", "KeyTooLongError", "ValidationException"})
_THROTTLED = frozenset(
    {
        "LimitExceededException",
        "OverLimit",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_BUSY = frozenset(
    {
        "RequestTimeout",
        "ServiceNotActiveException",
        "ServiceUnavailable",
        "TransactionInProgressException",
        "UpdateInProgressException",
    }
)
# ECS tells these apart by its sentence only.
_SAID: dict[str, type[HooklineError]] = {
    "Creation of service was not idempotent": Conflict,
    "Unable to Start a service that is still Draining": Unavailable,
}
_KINDS: tuple[tuple[frozenset[str], type[HooklineError]], ...] = (
    (_ABSENT, NotFound),
    (_DENIED, Forbidden),
    (_MOVED_ON, Conflict),
    (_REFUSED, InvalidInput),
    (_THROTTLED, TooManyRequests),
    (_BUSY, Unavailable),
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise our error for each of botocore's."""
    try:
        yield
    except ClientError as error:
        raise _ours(error) from error
    except BotoCoreError as error:  # no answer: no network, no credentials, a broken body
        raise Unavailable(
            "AWS cannot be reached.", why=f"{type(error).__name__}.", hint="Retry in a moment."
        ) from error


def call(operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Perform one operation of a client; botocore has made its retries when this raises."""
    with translated():
        return operation(*args, **kwargs)


def pages(operation: Callable[..., Answer], asked: Mapping[str, Any]) -> Iterator[Answer]:
    """The answers of an operation that continues with `nextToken`."""
    more: dict[str, Any] = {}
    while True:
        answer = call(operation, **asked, **more)
        yield answer
        token = answer.get("nextToken")
        if not token:
            return
        more = {"nextToken": token}


def answer_of(error: HooklineError) -> dict[str, Any]:
    """What AWS answered when it did not do what it was asked; empty when it did not answer."""
    cause = error.__cause__
    return {**cause.response} if isinstance(cause, ClientError) else {}


def code_of(error: HooklineError) -> str:
    """AWS's own name for what went wrong; "" when AWS did not answer."""
    return str(answer_of(error).get("Error", {}).get("Code", ""))


def _ours(error: ClientError) -> HooklineError:
    """AWS's sentences name roles and accounts, so only its codes are passed on."""
    code, operation = error.response["Error"]["Code"], error.operation_name
    kind = _kind(code, operation, error)
    if kind is TooManyRequests:
        return TooManyRequests("AWS is throttling hookline.", why=f"{operation}: {code}.")
    if kind is Forbidden:
        return Forbidden(
            "hookline has no right to do this on AWS.",
            why=f"{operation}: {code}.",
            hint="Give its role that right, or use a place it may reach.",
        )
    return kind(f"AWS did not do {operation}.", why=f"It answered {code}.")


def _kind(code: str, operation: str, error: ClientError) -> type[HooklineError]:
    for sentence, said in _SAID.items():
        if sentence in error.response["Error"].get("Message", ""):
            return said
    for codes, kind in _KINDS:
        if code in codes or f"{operation}:{code}" in codes:
            return kind
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return Unavailable if status >= _SERVER_FAULT else HooklineError
