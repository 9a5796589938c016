"""Who sent a request, and what a handler may touch on their behalf."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, TypeVar

from aws_lambda_powertools.event_handler import Request
from aws_lambda_powertools.event_handler.depends import Depends

from hookline.control.listing import every
from hookline.core.errors import Forbidden, NotFound, Unauthenticated
from hookline.core.ports import Ports
from hookline.core.records import Record, Role
from hookline.core.targets import OPEN_INTERNET, Targets

R = TypeVar("R", bound=Record)

_COMMANDS = {"job": "batch"}  # nouns that the command line calls differently


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request. `operation` is its method and path as they were sent.

    `if_match`: the edition that its change is meant for; empty for whichever there is. `targets`
    are what may be told of the end of a job.
    """

    ports: Ports
    tenant: str
    user: str
    role: Role
    operation: str
    idempotency_key: str
    if_match: str = ""
    targets: Targets = OPEN_INTERNET

    def find(self, kind: type[R], key: str | int) -> R:
        """The caller's own record. Raise NotFound, also for what belongs to another tenant."""
        record = self.ports.catalog.get(kind, self.tenant, key)
        if record is None:
            command = _COMMANDS.get(kind.kind, kind.kind)
            hint = f"List them with `hookline {command} list`."
            raise NotFound.of(kind.kind, key, hint=hint)
        return record

    def every(self, kind: type[R], prefix: str = "") -> Iterator[R]:
        """Every record of the caller's tenant whose key starts with `prefix`."""
        return every(self.ports, kind, self.tenant, prefix)

    def now(self) -> float:
        """UTC epoch seconds."""
        return self.ports.clock()

    def require_admin(self) -> None:
        """Raise Forbidden for everyone else."""
        if self.role != "admin":
            raise Forbidden(
                f"{self.user} may not do this.",
                why="It takes the role admin.",
                hint="Ask an admin of your tenant.",
            )


def _call(request: Request) -> Call:
    event = request.resolved_event
    granted = event["requestContext"].get("authorizer", {}).get("lambda") or {}
    if not granted.get("tenant"):
        raise Unauthenticated("The request carries no valid key.")
    return Call(
        ports=request.context["ports"],
        tenant=granted["tenant"],
        user=granted["user"],
        role=granted["role"],
        operation=f"{request.method} {event.path}",
        idempotency_key=request.headers.get("idempotency-key", ""),
        if_match=request.headers.get("if-match", "").strip('"'),
        targets=request.context.get("targets", OPEN_INTERNET),
    )


Calling = Annotated[Call, Depends(_call)]
