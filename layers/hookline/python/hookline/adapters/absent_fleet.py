"""The fleet as a process sees it that may not start others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from hookline.core.errors import Unavailable
from hookline.core.ports import Group, Process


class AbsentFleet:
    """Refuses everything. `why`: where the fleet is instead."""

    def __init__(self, why: str) -> None:
        self._why = why

    def ensure(self, group: Group) -> None:
        self._refuse(group.name)

    def observe(self, tenant: str = "", group: str = "") -> Sequence[Process]:
        del tenant
        self._refuse(group)

    def remove(self, tenant: str, group: str) -> None:
        del tenant
        self._refuse(group)

    def logs(self, tenant: str, group: str, *, after: int = 0) -> tuple[Sequence[str], int]:
        del tenant, after
        self._refuse(group)

    def _refuse(self, group: str) -> NoReturn:
        raise Unavailable(
            f"The processes of {group or 'every group'} cannot be reached from here.",
            why=self._why,
            hint="Send the request to the API.",
        )
