"""Whole lists of records, for those who must see every one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from hookline.core.ports import MAX_PAGE, Ports
from hookline.core.records import Record

R = TypeVar("R", bound=Record)


def every(ports: Ports, kind: type[R], tenant: str, prefix: str = "") -> Iterator[R]:
    """Every record of a tenant whose key starts with `prefix`, page by page."""
    after = ""
    while True:
        page = ports.catalog.query(kind, tenant, prefix=prefix, after=after, limit=MAX_PAGE)
        yield from page.items
        if not page.after:
            return
        after = page.after
