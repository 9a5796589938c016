"""Writes that plan, commit, and plan again when someone else was faster."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

from hookline.core.errors import Conflict, Unavailable
from hookline.core.ports import Catalog, Delete, Put
from hookline.core.records import Record

T = TypeVar("T")
R = TypeVar("R", bound=Record)

Write = Put | Delete
Plan = Callable[[], tuple[T, Sequence[Write]]]

ATTEMPTS = 60
PAUSE_S = 0.02


class Counter(Record):
    """The last id that was given out for a kind. Changes only inside a transaction."""

    kind: ClassVar[str] = "counter"
    of: str
    last: int

    @property
    def key(self) -> str:
        return self.of


def commit(catalog: Catalog, plan: Plan[T]) -> T:
    """Make the writes that `plan` returns, all or none, and return its result.

    `plan` reads and decides; it is called again when what it read has changed before the commit.
    Without writes its result stands. What `plan` raises is final.
    """
    for _ in range(ATTEMPTS):
        result, writes = plan()
        if not writes:
            return result
        try:
            catalog.transact(writes)
            return result
        except Conflict:
            time.sleep(random.uniform(0, PAUSE_S))  # noqa: S311 - spreads rivals, keeps no secret
    raise Unavailable("Too many others change the same thing.", hint="Try again in a moment.")


def next_number(catalog: Catalog, tenant: str, kind: type[Record]) -> tuple[int, Put]:
    """The next small id of a kind, and the write that takes it."""
    counter = catalog.get(Counter, tenant, kind.kind)
    counter = counter or Counter(tenant=tenant, of=kind.kind, last=0)
    number = counter.last + 1
    return number, Put(counter.changed(last=number))
