"""Hears every request that a principal sends to AWS. A principal is known by its access key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.stacks.cloud.rights import Call
from tests.stacks.cloud.sessions import handled

NOT_FOUND, REFUSED = 404, 503

Needed = Callable[[str, dict[str, Any]], list[Call]]
"""An operation (`s3:GetObject`) and its parameters → the calls that IAM makes of it."""


@dataclass
class Request:
    """One request, and the calls that IAM makes of it."""

    principal: str
    operation: str
    calls: list[Call]


@dataclass
class Refusal:
    """An answer that a principal's next request of an operation gets instead."""

    principal: str
    operation: str
    code: str
    status_code: int = REFUSED


@dataclass
class Recorder:
    """`requests` in the order they were sent; those of the `operator` are left out."""

    operator: str
    needed: Needed
    requests: list[Request] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    problems: list[Exception] = field(default_factory=list)

    def listening(self) -> AbstractContextManager[None]:
        """Hear the clients of every session that is made meanwhile."""
        return handled(
            ("before-parameter-build", _remember),
            ("before-call", self._hear),
            ("before-call.ecs", self._hear),  # before the ECS of the tests, whose answer ends it
            ("after-call.s3", _hear_of_absence),
        )

    def refuse(self, principal: str, operation: str, code: str) -> None:
        """Answer the principal's next request of that operation with an error."""
        self.refusals.append(Refusal(principal, operation, code))

    def link_used(self, method: str, url: str) -> None:
        """Someone sent a presigned request: AWS asks whether its signer may do that."""
        parts = urlsplit(url)
        signer = parse_qs(parts.query)["X-Amz-Credential"][0].partition("/")[0]
        bucket = parts.netloc.partition(".s3")[0]
        action = {"GET": "s3:GetObject", "PUT": "s3:PutObject"}[method]
        call = Call(action, f"arn:aws:s3:::{bucket}{unquote(parts.path)}")
        self.requests.append(Request(signer, f"{action} by link", [call]))

    def _hear(self, model: Any, request_signer: Any, context: Any, **_: object) -> Any:
        principal = request_signer._credentials.access_key
        if principal == self.operator:
            return None
        operation = f"{model.service_model.service_name}:{model.name}"
        try:
            calls = self.needed(operation, context["asked"])
        except Exception as error:  # the code under test may take it for AWS's
            self.problems.append(error)
            raise
        context["request"] = Request(principal, operation, calls)
        self.requests.append(context["request"])
        return self._refused(principal, operation)

    def _refused(self, principal: str, operation: str) -> Any:
        for one in self.refusals:
            if (one.principal, one.operation) == (principal, operation):
                self.refusals.remove(one)
                return one, {"Error": {"Code": one.code, "Message": "A test asked for it."}}
        return None


def _remember(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    context["asked"] = dict(params)


def _hear_of_absence(http_response: Any, context: dict[str, Any], **_: object) -> None:
    """S3 tells of absence only those who may list; to others it says that it is forbidden."""
    if http_response.status_code == NOT_FOUND and "request" in context:
        bucket = f"arn:aws:s3:::{context['asked']['Bucket']}"
        context["request"].calls.append(Call("s3:ListBucket", bucket))
