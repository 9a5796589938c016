"""Everything that the contract says of fleets, said of the fleet of ECS services."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hookline.core.ports import Fleet
from tests.contract import test_fleet as contract
from tests.unit.adapters.aws.fake_ecs import FakeEcs
from tests.unit.adapters.aws.fleets import ecs_fleet

CLAIMS: dict[str, Callable[[Fleet], None]] = {
    name: claim for name, claim in vars(contract).items() if name.startswith("test_")
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_contract_holds(claim: str) -> None:
    CLAIMS[claim](ecs_fleet(FakeEcs()))
