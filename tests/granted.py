"""A catalog that allows what the topology grants, as the policies on AWS do; moto heeds none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from hookline.control.desired import Idle
from hookline.core.ports import Catalog, Delete, Page, Ports, Put
from hookline.core.records import PLATFORM, Record
from hookline.core.topology import FUNCTIONS, PROCESSES, Grant

R = TypeVar("R", bound=Record)

GRANTS: dict[str, tuple[Grant, ...]] = {
    **{function.name: function.grants for function in FUNCTIONS},
    **{process.name: process.grants for process in PROCESSES},
}


def granted(ports: Ports, name: str) -> Ports:
    """The ports with what a function or process may do in the catalog."""
    return replace(ports, catalog=GrantedCatalog(ports.catalog, name))


class GrantedCatalog:
    """Fails the test that asks for more."""

    def __init__(self, catalog: Catalog, name: str) -> None:
        self._catalog, self._name = catalog, name
        self._verbs = {
            grant.place: grant.verbs for grant in GRANTS[name] if grant.port == "catalog"
        }

    def get(self, kind: type[R], tenant: str, key: str | int) -> R | None:
        self._check("get", kind, tenant)
        return self._catalog.get(kind, tenant, key)

    def put(self, record: R) -> R:
        self._check("put", type(record), record.tenant)
        return self._catalog.put(record)

    def delete(self, record: Record) -> None:
        self._check("delete", type(record), record.tenant)
        self._catalog.delete(record)

    def query(
        self, kind: type[R], tenant: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> Page[R]:
        self._check("query", kind, tenant)
        return self._catalog.query(kind, tenant, prefix=prefix, after=after, limit=limit)

    def transact(self, writes: Sequence[Put | Delete]) -> None:
        for write in writes:
            verb = "put" if isinstance(write, Put) else "delete"
            self._check(verb, type(write.record), write.record.tenant)
        self._catalog.transact(writes)

    def _check(self, verb: str, kind: type[Record], tenant: str) -> None:
        if kind is Idle:  # written where the reconciler itself runs the workers: on one machine
            return
        place = "platform" if tenant == PLATFORM else kind.place
        if verb not in self._verbs.get(place, ()):
            raise NotGrantedError(f"{self._name} may not {verb} a {kind.kind} in {place}")


class NotGrantedError(BaseException):
    """The edges that catch what handlers raise let this pass."""
