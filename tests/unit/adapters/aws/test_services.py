from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

import pytest

from hookline.adapters.aws.services import definition_name, place_of, service_name
from hookline.core.errors import InvalidInput
from hookline.core.ports import Group
from hookline.core.records import PLATFORM

TENANTS = ["acme", "acme-eu", "acme-eu-1", "a", "A", "acme1"]
GROUPS = ["stream-1", "stream-12", "worker"]


def test_a_name_tells_its_tenant_and_group() -> None:
    for tenant, group in product(TENANTS, GROUPS):
        assert place_of(tenant, service_name(tenant, tenant, group)) == (tenant, group)
        assert place_of(PLATFORM, service_name(PLATFORM, tenant, group)) == (tenant, group)
        name = service_name(tenant, PLATFORM, group)
        assert place_of(tenant, name) == (PLATFORM, group)


def test_no_two_groups_share_a_name() -> None:
    names = [
        service_name(owner, tenant, group)
        for owner in TENANTS
        for tenant in (owner, PLATFORM)
        for group in GROUPS
    ]
    assert len(set(names)) == len(names)


def test_a_role_limited_to_a_tenant_reaches_no_other_tenant() -> None:
    for mine, other in product(TENANTS, TENANTS):
        for tenant in (other, PLATFORM):
            name = service_name(other, tenant, "stream-1")
            assert fnmatchcase(name, f"{mine}--*") == (mine == other)
            assert (place_of(mine, name) is not None) == (mine == other)


@pytest.mark.parametrize("part", ["", "a--b", "-a", "a-", "a_b", "a/b", "é", "a b", "a\n", "_x"])
def test_a_name_that_could_be_mistaken_is_refused(part: str) -> None:
    with pytest.raises(InvalidInput, match="name of a service"):
        service_name("acme", part, "stream-1")
    with pytest.raises(InvalidInput, match="name of a service"):
        service_name("acme", "acme", part)


@pytest.mark.parametrize("name", ["gateway", "acme-gateway", "acme", ""])
def test_services_of_stacks_are_no_groups(name: str) -> None:
    assert place_of("acme", name) is None


def test_a_definition_is_named_by_role_device_and_gpus() -> None:
    def of(gpus: int) -> str:
        return definition_name(Group("t", "s", "stream", 1, device="gpu", gpus=gpus))

    assert [of(0), of(1), of(4)] == ["stream-gpu", "stream-gpu", "stream-gpu-4"]
