"""Tenants on AWS, seen with a person's own credentials: which there are, and their first key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hookline.core.errors import BadRequest

if TYPE_CHECKING:
    from hookline.adapters.aws.deployed import DeployedTenant
    from hookline.core.ports import Ports

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Reached:
    """A deployed tenant, and the ports over what its stacks made."""

    tenant: str
    endpoint: str
    ports: Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrapped:
    """A tenant that has an admin. `key` is empty when they had one before."""

    tenant: str
    endpoint: str
    user: str
    key: str


def reach(tenant: str, stage: str, region: str) -> Reached:
    """The tenant as it is deployed. Raise NotFound when it is not."""
    with _boto():
        from hookline.adapters.aws import deployed, wiring  # noqa: PLC0415 - botocore is an extra
        from hookline.adapters.aws.settings import AwsSettings  # noqa: PLC0415 - as above

    clients = deployed.clients_of_caller(region)
    found, storage = deployed.find(clients, stage, tenant)
    settings = AwsSettings(table=storage.table, bucket=storage.bucket, queues={}, tenant=tenant)
    return Reached(tenant, found.endpoint, wiring.ports(settings, clients))


def bootstrap(reached: Reached, *, is_new_key_wanted: bool) -> Bootstrapped:
    """Make the tenant's record and its first admin with a key, unless they have one.

    Another key is made when it is wanted; the older ones stay good.
    """
    from hookline.control import credentials, users  # noqa: PLC0415 - help needs none of it

    tenant, ports = reached.tenant, reached.ports
    known = credentials.links(ports, tenant, credentials.user_subject(ADMIN))
    key = users.bootstrap(ports, tenant, ADMIN) if is_new_key_wanted or not known else ""
    return Bootstrapped(tenant=tenant, endpoint=reached.endpoint, user=ADMIN, key=key)


def tenants(region: str) -> Iterator[DeployedTenant]:
    """The tenants of every stage in a region."""
    with _boto():
        from hookline.adapters.aws import deployed  # noqa: PLC0415 - botocore is an extra

    yield from deployed.tenants(deployed.clients_of_caller(region))


@contextmanager
def _boto() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("boto3", "botocore"):
            raise
        raise BadRequest(
            f"hookline cannot call AWS: {error.name} is not installed.",
            hint="Install it with `pip install 'hookline[aws]'`.",
        ) from error
