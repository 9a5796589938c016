from __future__ import annotations

import pytest

from bench.cost import GATEWAY, STREAM


@pytest.mark.usefixtures("cdk")
def test_costs_are_those_of_the_tasks_that_the_stacks_make() -> None:
    from stacks import tenant  # noqa: PLC0415 - needs the CDK

    for size, counted in ((tenant.STREAM_SIZE, STREAM), (tenant.GATEWAY_SIZE, GATEWAY)):
        assert (size.cpu_units / 1024, size.memory_mib / 1024) == counted
