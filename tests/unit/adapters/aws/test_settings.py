from __future__ import annotations

from pathlib import Path

import pytest

from hookline.adapters.aws.settings import NAMES, ProcessSettings, from_environment
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
    "HOOKLINE_TOPICS": "arn:aws:sns:eu-west-1:123456789012:done, arn:aws:sns:x:123456789012:y",
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


def test_a_function_is_told_of_the_topics_that_may_be_notified() -> None:
    assert from_environment(TASK).topics == ()
    assert from_environment(FUNCTION).topics == (
        "arn:aws:sns:eu-west-1:123456789012:done",
        "arn:aws:sns:x:123456789012:y",
    )


def test_a_process_listens_where_the_load_balancer_asks_unless_told_otherwise() -> None:
    process = from_environment(TASK).process

    assert (process.host, process.port) == ("0.0.0.0", 8080)
    assert (process.sandbox, process.trace_hooks, process.workers) == ("auto", False, 0)


def test_a_process_is_told_how_to_run_as_on_one_machine() -> None:
    given = {"HOME": "/h", "HOST": "127.0.0.2", "PORT": "0", "SANDBOX": "on"}
    more = {"TRACE_HOOKS": "1", "WORKERS": "3"}
    process = from_environment(
        TASK | {f"HOOKLINE_{name}": value for name, value in (given | more).items()}
    ).process

    assert process == ProcessSettings(
        home=Path("/h"), host="127.0.0.2", port=0, sandbox="on", trace_hooks=True, workers=3
    )


def test_a_function_is_told_of_the_cluster_as_well() -> None:
    fleet = from_environment(FUNCTION).fleet

    assert fleet is not None
    assert fleet.subnets == ("subnet-1", "subnet-2")
    assert fleet.capacity_providers == {"cpu": "FARGATE", "gpu": "gpus"}


@pytest.mark.parametrize(
    "name",
    [name for name in FUNCTION if name not in ("PATH", "HOOKLINE_TENANT", "HOOKLINE_TOPICS")],
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
    with pytest.raises(BadRequest, match=r"HOOKLINE_CHAOS is not a setting.*HOOKLINE_BUCKET"):
        from_environment(TASK | {"HOOKLINE_CHAOS": "7"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("TABLE", ""), ("QUEUES", "x"), ("QUEUES", "[]"), ("QUEUES", '{"plan": 1}')],
        *[("SUBNETS", "a,,b"), ("SUBNETS", ""), ("LOG_LEVEL", "LOUD")],
        *[
            ("PORT", "x"),
            ("SANDBOX", "maybe"),
            ("TRACE_HOOKS", "yes"),
            ("WORKERS", "-1"),
            ("INPUT_CACHE_GB", "-1"),
        ],
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: str) -> None:
    with pytest.raises(BadRequest, match=f"HOOKLINE_{name} cannot be .*Set it to"):
        from_environment(FUNCTION | {f"HOOKLINE_{name}": value})


def test_the_names_are_those_that_are_parsed() -> None:
    given = {name.removeprefix("HOOKLINE_").lower() for name in FUNCTION if name != "PATH"}

    of_process = {
        "cache_gb",
        "input_cache_gb",
        "max_replicas",
        "max_streams",
        "home",
        "host",
        "port",
        "sandbox",
        "trace_hooks",
        "workers",
    }
    assert given | of_process | {"log_level"} == set(NAMES)
