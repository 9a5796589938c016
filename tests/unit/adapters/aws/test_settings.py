from __future__ import annotations

import pytest

from hookline.adapters.aws.settings import NAMES, from_environment
from hookline.core.errors import BadRequest
from hookline.core.records import PLATFORM

TASK = {
    "HOOKLINE_TABLE": "table",
    "HOOKLINE_BUCKET": "bucket",
    "HOOKLINE_QUEUES": '{"plan": "https://x/plan"}',
    "PATH": "/bin",
}
FUNCTION = TASK | {
    "HOOKLINE_TENANT": "acme",
    "HOOKLINE_CLUSTER": "main",
    "HOOKLINE_TASK_DEFINITIONS": '{"stream-cpu": "family:1"}',
    "HOOKLINE_SUBNETS": "subnet-1, subnet-2",
    "HOOKLINE_SECURITY_GROUPS": "sg-1",
    "HOOKLINE_LOG_GROUP": "/hookline/acme",
    "HOOKLINE_LOG_STREAMS": "hookline/runtime",
    "HOOKLINE_CAPACITY_PROVIDERS": '{"cpu": "FARGATE", "gpu": "gpus"}',
}


def test_a_task_is_told_of_its_stores_and_of_no_cluster() -> None:
    settings = from_environment(TASK)

    assert (settings.table, settings.bucket) == ("table", "bucket")
    assert settings.queues == {"plan": "https://x/plan"}
    assert (settings.tenant, settings.fleet) == (PLATFORM, None)


def test_a_function_is_told_of_the_cluster_as_well() -> None:
    fleet = from_environment(FUNCTION).fleet

    assert fleet is not None
    assert fleet.subnets == ("subnet-1", "subnet-2")
    assert fleet.capacity_providers == {"cpu": "FARGATE", "gpu": "gpus"}


@pytest.mark.parametrize(
    "name", [name for name in FUNCTION if name not in ("PATH", "HOOKLINE_TENANT")]
)
def test_what_is_missing_is_named(name: str) -> None:
    environ = {key: value for key, value in FUNCTION.items() if key != name}
    if name == "HOOKLINE_CAPACITY_PROVIDERS":
        fleet = from_environment(environ).fleet
        assert fleet is not None
        assert fleet.capacity_providers == {"cpu": "FARGATE"}
        return
    with pytest.raises(BadRequest, match=f"{name} is missing"):
        from_environment(environ)


def test_what_is_unknown_is_named_with_what_is_known() -> None:
    with pytest.raises(BadRequest, match=r"HOOKLINE_HOME is not a setting.*HOOKLINE_BUCKET"):
        from_environment(TASK | {"HOOKLINE_HOME": "/x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("TABLE", ""), ("QUEUES", "x"), ("QUEUES", "[]"), ("QUEUES", '{"plan": 1}')],
        *[("SUBNETS", "a,,b"), ("SUBNETS", ""), ("LOG_LEVEL", "LOUD")],
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: str) -> None:
    with pytest.raises(BadRequest, match=f"HOOKLINE_{name} cannot be .*Set it to"):
        from_environment(FUNCTION | {f"HOOKLINE_{name}": value})


def test_the_names_are_those_that_are_parsed() -> None:
    given = {name.removeprefix("HOOKLINE_").lower() for name in FUNCTION if name != "PATH"}

    assert given | {"log_level"} == set(NAMES)
