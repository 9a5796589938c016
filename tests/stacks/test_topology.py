"""What is deployed is what the table says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hookline.core.topology import (
    FALLBACK,
    FALLBACK_FUNCTION,
    FUNCTIONS,
    GATEWAY_ROUTES,
    PROCESSES,
    PUBLIC_ROUTES,
    QUEUES,
    Function,
    queue_spec,
)
from tests.stacks.templates import Template, text

HANDLERS = Path(__file__).parents[2] / "functions"
NAMES = [function.name for function in FUNCTIONS]
Templates = dict[str, Template]


@pytest.fixture(scope="module")
def tenant(templates: Templates) -> Template:
    return templates["Tenant-acme"]


def test_the_api_has_the_routes_of_the_table_and_no_others(tenant: Template) -> None:
    found = [route["RouteKey"] for route in tenant.of_type("AWS::ApiGatewayV2::Route").values()]
    table = [route for function in FUNCTIONS for route in function.routes]
    wanted = [f"{route.method} {route.path}" for route in [*table, *GATEWAY_ROUTES, FALLBACK]]
    assert sorted(found) == sorted(wanted)


def test_each_route_leads_to_its_function(tenant: Template) -> None:
    integrations = tenant.of_type("AWS::ApiGatewayV2::Integration")
    found = {}
    for made in tenant.of_type("AWS::ApiGatewayV2::Route").values():
        integration = integrations[text(made["Target"]).removeprefix("integrations/")]
        uri = text(integration["IntegrationUri"])
        found[made["RouteKey"]] = uri.partition("Handler")[0].lower()
    for function in FUNCTIONS:
        for route in function.routes:
            assert found[f"{route.method} {route.path}"] == function.name
    assert found[f"{FALLBACK.method} {FALLBACK.path}"] == FALLBACK_FUNCTION
    for route in GATEWAY_ROUTES:
        assert "platform" in found[f"{route.method} {route.path}"]


def test_every_route_takes_a_key_but_the_public_ones_and_those_of_the_gateway(
    tenant: Template,
) -> None:
    routes = tenant.of_type("AWS::ApiGatewayV2::Route").values()
    keyless = {route["RouteKey"] for route in routes if route["AuthorizationType"] == "NONE"}
    assert keyless == {
        f"{route.method} {route.path}" for route in PUBLIC_ROUTES.union(GATEWAY_ROUTES)
    }
    others = [route for route in routes if route["RouteKey"] not in keyless]
    assert {route["AuthorizationType"] for route in others} == {"CUSTOM"}


def test_every_function_of_the_table_is_deployed(tenant: Template) -> None:
    assert sorted(tenant.functions()) == sorted(NAMES)


@pytest.mark.parametrize("function", FUNCTIONS, ids=NAMES)
def test_a_function_has_its_timeout_and_memory(tenant: Template, function: Function) -> None:
    found = tenant.functions()[function.name]
    assert (found["Timeout"], found["MemorySize"]) == (function.timeout_s, function.memory_mb)
    if function.routes:
        assert function.timeout_s <= 30  # API Gateway waits no longer


def test_functions_take_messages_as_the_table_says(tenant: Template) -> None:
    found = {}
    for mapping in tenant.of_type("AWS::Lambda::EventSourceMapping").values():
        name = text(mapping["FunctionName"]).partition("Handler")[0].lower()
        queue = text(mapping["EventSourceArn"]).partition("FnGetAtt")[2].partition("Queue")[0]
        found[name] = (
            queue.lower(),
            mapping["BatchSize"],
            mapping.get("MaximumBatchingWindowInSeconds", 0),
        )
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["ScalingConfig"]["MaximumConcurrency"] >= 2
    assert found == {
        function.name: (function.queue, function.batch_items, function.batch_window_s)
        for function in FUNCTIONS
        if function.queue
    }


def test_functions_may_send_to_the_queue_that_calls_them(tenant: Template) -> None:
    """Else Lambda takes the seventeenth call of such a chain for a fault, and ends it."""
    found = {name: one.get("RecursiveLoop") for name, one in tenant.functions().items()}
    assert found == {
        function.name: "Allow" if sends_to_itself(function) else None for function in FUNCTIONS
    }
    assert {name for name, loop in found.items() if loop} >= {"plan", "finish", "reconcile"}


def sends_to_itself(function: Function) -> bool:
    return any(
        grant.port == "queue" and grant.place == function.queue and "send" in grant.verbs
        for grant in function.grants
    )


def test_functions_are_called_on_their_schedules(tenant: Template) -> None:
    found = {
        text(rule["Targets"][0]["Arn"]).partition("Handler")[0].lower(): rule["ScheduleExpression"]
        for rule in tenant.of_type("AWS::Events::Rule").values()
        if "ScheduleExpression" in rule
    }
    assert found == {
        function.name: rate(function.every_s) for function in FUNCTIONS if function.every_s
    }


def rate(every_s: int) -> str:
    """EventBridge counts in whole minutes, and refuses `1 minutes` as well as `4 minute`."""
    minutes, rest = divmod(every_s, 60)
    assert minutes
    assert not rest
    return f"rate({minutes} minute{'' if minutes == 1 else 's'})"


def test_functions_hear_of_the_tasks_of_their_tenant_alone(tenant: Template) -> None:
    found = {
        text(rule["Targets"][0]["Arn"]).partition("Handler")[0].lower(): rule["EventPattern"]
        for rule in tenant.of_type("AWS::Events::Rule").values()
        if "EventPattern" in rule
    }
    assert list(found) == [function.name for function in FUNCTIONS if function.on_fleet_change]
    for pattern in found.values():
        assert pattern["source"] == ["aws.ecs"]
        assert pattern["detail"]["group"] == [{"prefix": "service:acme--"}]
        assert len(pattern["detail"]["clusterArn"]) == 1


def test_queues_are_those_of_the_table(templates: Templates) -> None:
    queues = templates["Storage-acme"].of_type("AWS::SQS::Queue")
    for spec in QUEUES:
        name = next(one for one in queues if one.startswith(f"{spec.name.title()}Queue"))
        found = queues[name]
        assert found["VisibilityTimeout"] == spec.lease_s
        assert found.get("FifoQueue", False) == spec.is_fifo
        assert found.get("DelaySeconds", 0) == spec.delay_s
        redrive = found["RedrivePolicy"]
        assert redrive["maxReceiveCount"] == spec.max_receives
        assert text(redrive["deadLetterTargetArn"]).startswith(f"{spec.name.title()}Dead")
    assert len(queues) == 2 * len(QUEUES) + 1


@pytest.mark.parametrize("function", [one for one in FUNCTIONS if one.queue], ids=lambda f: f.name)
def test_a_lease_outlives_six_runs_of_its_function(function: Function) -> None:
    spec = queue_spec(function.queue)
    assert spec.lease_s >= 6 * function.timeout_s + function.batch_window_s
    assert 3 <= spec.max_receives <= 5
    if spec.is_fifo:
        assert function.batch_items <= 10  # of a FIFO queue Lambda takes no more
        assert not function.batch_window_s  # nor does it wait


def test_every_process_of_the_table_has_a_task_definition(tenant: Template) -> None:
    commands = {
        container["Command"][0]
        for definition in tenant.of_type("AWS::ECS::TaskDefinition").values()
        for container in definition["ContainerDefinitions"]
    }
    assert commands == {kind.name for kind in PROCESSES}


@pytest.mark.parametrize("function", FUNCTIONS, ids=NAMES)
def test_a_handler_only_wires(function: Function) -> None:
    source = (HANDLERS / function.name / "handler.py").read_text()
    tree = ast.parse(source)
    module, _, name = function.entry.partition(":")
    assert f"from {module} import {name}" in source
    assert len(source.splitlines()) <= 25
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.If, ast.IfExp, ast.Try))]


def test_there_is_no_handler_that_the_table_does_not_know() -> None:
    assert sorted(path.parent.name for path in HANDLERS.glob("*/handler.py")) == sorted(NAMES)


def test_the_stacks_know_the_table_and_nothing_else_of_the_product() -> None:
    imported = {
        node.module
        for path in (HANDLERS.parent / "stacks").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert {name for name in imported if name.startswith("hookline")} == {"hookline.core.topology"}
