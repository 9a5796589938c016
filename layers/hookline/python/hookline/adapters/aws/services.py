"""How the groups of the fleet are called among the services of an ECS cluster.

`<tenant>--<group>`, so that a role may be limited to `<tenant>--*`: names have no double hyphen, so
the beginning of one tenant's services is never the beginning of another's. PLATFORM's groups are
the owner's, the tenant whose stack they belong to: `<owner>--_<group>`.
"""

from __future__ import annotations

import re

from hookline.core.errors import InvalidInput
from hookline.core.ports import Group
from hookline.core.records import PLATFORM

_PART = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_BETWEEN = "--"


def service_name(owner: str, tenant: str, group: str) -> str:
    """The service of a group. Raise InvalidInput for a name that could be mistaken for another."""
    for part in (tenant, group):
        if part != PLATFORM and not _PART.fullmatch(part):
            raise InvalidInput(
                f"{part!r} cannot be part of the name of a service.",
                why="It has letters and digits, and single hyphens between them.",
            )
    prefix, mark = (owner, PLATFORM) if tenant == PLATFORM else (tenant, "")
    return f"{prefix}{_BETWEEN}{mark}{group}"


def place_of(owner: str, service: str) -> tuple[str, str] | None:
    """Tenant and group of a service; None for one of others."""
    prefix, between, group = service.partition(_BETWEEN)
    if not between or owner not in (prefix, PLATFORM):
        return None
    if group.startswith(PLATFORM):
        return (PLATFORM, group.removeprefix(PLATFORM)) if prefix == owner else None
    return prefix, group


def definition_name(group: Group) -> str:
    """Which task definition a group runs: `stream-cpu`, `worker-cpu`, `stream-gpu-4`.

    ECS counts GPUs and no NeuronCores: a task with these has its whole machine.
    """
    many = f"-{group.gpus}" if group.device == "gpu" and group.gpus > 1 else ""
    return f"{group.role}-{group.device}{many}"
