from __future__ import annotations

from typing import Any

import pytest

from stacks.devices import MACHINES
from tests.stacks.conftest import Synthesize
from tests.stacks.templates import Template, text

Templates = dict[str, Template]
Definitions = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def tenant(templates: Templates) -> Template:
    return templates["Tenant-acme"]


@pytest.fixture(scope="module")
def definitions(tenant: Template) -> Definitions:
    found = tenant.of_type("AWS::ECS::TaskDefinition")
    return {name.removeprefix("Tasks")[:-8].lower(): one for name, one in found.items()}


def container(definition: dict[str, Any]) -> dict[str, Any]:
    (only,) = definition["ContainerDefinitions"]
    found: dict[str, Any] = only
    return found


def test_there_is_a_definition_per_process_and_device(definitions: Definitions) -> None:
    assert sorted(definitions) == [
        "gatewaycpu",
        "streamcpu",
        "streamgpu",
        "streaminf2",
        "workercpu",
    ]


@pytest.mark.parametrize("device", ["cpu", "gpu", "inf2"])
def test_a_stream_runs_the_image_of_its_device(definitions: Definitions, device: str) -> None:
    image = container(definitions[f"stream{device}"])["Image"]
    assert image == f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/hookline:0.1.0-{device}"


def test_containers_say_when_they_are_ready_and_get_time_to_end(definitions: Definitions) -> None:
    for name, definition in definitions.items():
        found = container(definition)
        assert found["StopTimeout"] == 120
        assert found["LogConfiguration"]["LogDriver"] == "awslogs"
        if not name.startswith("worker"):
            assert found["HealthCheck"]["Command"][0] == "CMD"
            assert found["HealthCheck"]["StartPeriod"] == 300
            assert found["PortMappings"][0]["ContainerPort"] == 8080
        assert "Secrets" not in found
        assert not found.get("Privileged")


def test_a_gpu_is_asked_for(definitions: Definitions) -> None:
    requirements = container(definitions["streamgpu"])["ResourceRequirements"]
    assert requirements == [{"Type": "GPU", "Value": "1"}]


def test_a_neuron_task_has_its_instances_devices(definitions: Definitions) -> None:
    (device,) = container(definitions["streaminf2"])["LinuxParameters"]["Devices"]
    assert device["HostPath"] == device["ContainerPath"] == "/dev/neuron0"
    assert device["Permissions"] == ["read", "write"]


@pytest.mark.parametrize("device", list(MACHINES))
def test_one_task_fits_an_instance_and_two_do_not(device: str) -> None:
    machine = MACHINES[device]
    assert machine.memory_mib / 2 < machine.task_memory_mib < 0.9 * machine.memory_mib


def test_tasks_with_an_accelerator_run_on_its_instances(definitions: Definitions) -> None:
    for device in ("gpu", "inf2"):
        (constraint,) = definitions[f"stream{device}"]["PlacementConstraints"]
        assert MACHINES[device].instance_type in constraint["Expression"]
        assert definitions[f"stream{device}"]["RequiresCompatibilities"] == ["EC2"]


def test_instances_start_from_zero_with_their_own_image(templates: Templates) -> None:
    platform = templates["Platform"]
    groups = platform.of_type("AWS::AutoScaling::AutoScalingGroup")
    assert {group["MinSize"] for group in groups.values()} == {"0"}
    paths = {one["Default"] for one in platform.body["Parameters"].values()}
    wanted = {MACHINES[device].ami_parameter for device in ("gpu", "inf2")}
    assert wanted <= paths
    for template in platform.of_type("AWS::EC2::LaunchTemplate").values():
        data = template["LaunchTemplateData"]
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert all(disk["Ebs"]["Encrypted"] for disk in data["BlockDeviceMappings"])


def test_the_cluster_has_fargate_and_each_accelerator(templates: Templates) -> None:
    platform = templates["Platform"]
    (found,) = platform.of_type("AWS::ECS::ClusterCapacityProviderAssociations").values()
    names = sorted(text(name) for name in found["CapacityProviders"])
    assert names[:2] == ["FARGATE", "FARGATE_SPOT"]
    assert [name[:3] for name in names[2:]] == ["Gpu", "Inf"]


def test_the_load_balancer_is_reached_by_the_api_alone(templates: Templates) -> None:
    platform = templates["Platform"]
    (balancer,) = platform.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    assert balancer["Scheme"] == "internal"
    ingress = platform.of_type("AWS::EC2::SecurityGroupIngress").values()
    assert [(rule["FromPort"], text(rule["SourceSecurityGroupId"])[:4]) for rule in ingress] == [
        (80, "Link")
    ]
    (listener,) = platform.of_type("AWS::ElasticLoadBalancingV2::Listener").values()
    (action,) = listener["DefaultActions"]
    assert action["FixedResponseConfig"]["StatusCode"] == "404"


def test_each_tenant_has_one_rule_and_a_header_that_clients_cannot_set(
    templates: Templates,
) -> None:
    priorities = set()
    for name in ("acme", "globex"):
        tenant = templates[f"Tenant-{name}"]
        (rule,) = tenant.of_type("AWS::ElasticLoadBalancingV2::ListenerRule").values()
        (condition,) = rule["Conditions"]
        assert condition["HttpHeaderConfig"] == {
            "HttpHeaderName": "x-hookline-tenant",
            "Values": [name],
        }
        priorities.add(rule["Priority"])
        mapped = [
            one["RequestParameters"]
            for one in tenant.of_type("AWS::ApiGatewayV2::Integration").values()
            if "RequestParameters" in one
        ]
        assert mapped == [{"overwrite:header.x-hookline-tenant": name}]
    assert len(priorities) == 2


def test_replicas_answer_their_own_gateway_only(tenant: Template) -> None:
    rules = {
        text(rule["GroupId"])[:7]: text(rule["SourceSecurityGroupId"])
        for rule in tenant.of_type("AWS::EC2::SecurityGroupIngress").values()
    }
    assert set(rules) == {"Gateway", "Replica"}
    assert rules["Replica"].startswith("GatewayTasks")
    assert "Platform" in rules["Gateway"]


@pytest.mark.parametrize(
    ("shards", "tasks"),
    [(0, 0), (1, 1), (8, 1), (9, 2), (16, 2), (17, 5), (40, 5), (41, 10), (80, 10), (81, 20)],
)
def test_workers_are_as_many_as_the_backlog_needs(
    tenant: Template, shards: int, tasks: int
) -> None:
    assert tasks_for(tenant, shards) == tasks


def test_workers_come_from_zero_and_have_a_limit(tenant: Template) -> None:
    targets = tenant.of_type("AWS::ApplicationAutoScaling::ScalableTarget")
    (workers,) = [one for name, one in targets.items() if name.startswith("Workers")]
    assert (workers["MinCapacity"], workers["MaxCapacity"]) == (0, 20)
    assert tasks_for(tenant, 100_000) == 20


def test_nothing_but_the_reconciler_scales_the_services_of_streams(tenant: Template) -> None:
    targets = tenant.of_type("AWS::ApplicationAutoScaling::ScalableTarget")
    assert sorted(name[:7] for name in targets) == ["Gateway", "Workers"]


@pytest.fixture(scope="module")
def limited(synthesize: Synthesize) -> dict[str, Template]:
    """Two tenants with quotas of their own."""
    return synthesize(
        **{
            "hookline:tenants": ["acme", "globex"],
            "hookline:requests-per-s": {"acme": 7},
            "hookline:max-workers": {"acme": 1, "default": 300},
            "hookline:max-gateways": {"default": 2, "globex": 3},
        }
    )


def test_each_tenant_has_its_own_quotas(limited: dict[str, Template]) -> None:
    found = {
        name: (requests(limited[name]), most(limited[name], "Workers"), most(limited[name], "Gate"))
        for name in ("Tenant-acme", "Tenant-globex")
    }
    assert found == {"Tenant-acme": (7, 1, 2), "Tenant-globex": (500, 300, 3)}


@pytest.mark.parametrize(
    ("name", "shards", "tasks"),
    [
        ("acme", 0, 0),
        ("acme", 1, 1),
        ("acme", 9, 1),
        ("acme", 100_000, 1),
        ("globex", 161, 50),
        ("globex", 1600, 200),
        ("globex", 1601, 300),
        ("globex", 100_000, 300),
    ],
)
def test_workers_never_exceed_the_quota(
    limited: dict[str, Template], name: str, shards: int, tasks: int
) -> None:
    assert tasks_for(limited[f"Tenant-{name}"], shards) == tasks


def requests(tenant: Template) -> int:
    (stage,) = tenant.of_type("AWS::ApiGatewayV2::Stage").values()
    limit = stage["DefaultRouteSettings"]
    assert limit["ThrottlingBurstLimit"] == 2 * limit["ThrottlingRateLimit"]
    return int(limit["ThrottlingRateLimit"])


def most(tenant: Template, service: str) -> int:
    targets = tenant.of_type("AWS::ApplicationAutoScaling::ScalableTarget")
    (found,) = [one for name, one in targets.items() if name.startswith(service)]
    return int(found["MaxCapacity"])


def test_held_shards_keep_their_workers(tenant: Template) -> None:
    for alarm in tenant.of_type("AWS::CloudWatch::Alarm").values():
        names = {
            one["MetricStat"]["Metric"]["MetricName"]
            for one in alarm["Metrics"]
            if "MetricStat" in one
        }
        assert names == {
            "ApproximateNumberOfMessagesVisible",
            "ApproximateNumberOfMessagesNotVisible",
        }


def tasks_for(tenant: Template, shards: int) -> int:
    """What Application Auto Scaling makes of a backlog: the step of the one alarm that is on."""
    policies = tenant.of_type("AWS::ApplicationAutoScaling::ScalingPolicy")
    (chosen,) = [
        step
        for alarm in tenant.of_type("AWS::CloudWatch::Alarm").values()
        if is_on(alarm, shards)
        for step in steps_of(policies[text(alarm["AlarmActions"][0])])
        if holds(step, shards - alarm["Threshold"])
    ]
    return int(chosen["ScalingAdjustment"])


def is_on(alarm: dict[str, Any], shards: int) -> bool:
    threshold: float = alarm["Threshold"]
    if alarm["ComparisonOperator"] == "LessThanOrEqualToThreshold":
        return shards <= threshold
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    return shards >= threshold


def steps_of(policy: dict[str, Any]) -> list[dict[str, Any]]:
    step = policy["StepScalingPolicyConfiguration"]
    assert step["AdjustmentType"] == "ExactCapacity"
    found: list[dict[str, Any]] = step["StepAdjustments"]
    return found


def holds(step: dict[str, Any], above: float) -> bool:
    """Which end of a step is its own depends on the alarm, so nothing may be at an end."""
    lower = step.get("MetricIntervalLowerBound", float("-inf"))
    upper = step.get("MetricIntervalUpperBound", float("inf"))
    assert above not in (lower, upper)
    return bool(lower < above < upper)


def test_services_give_up_on_what_does_not_start(tenant: Template) -> None:
    for service in tenant.of_type("AWS::ECS::Service").values():
        assert service["DeploymentConfiguration"]["DeploymentCircuitBreaker"]["Enable"] is True
        assert (
            service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
        )
        assert service["PropagateTags"] == "SERVICE"


def test_everything_is_tagged_with_its_tenant(tenant: Template) -> None:
    for kind in ("AWS::ECS::Service", "AWS::Lambda::Function", "AWS::IAM::Role"):
        for resource in tenant.of_type(kind).values():
            tags = {tag["Key"]: tag["Value"] for tag in resource["Tags"]}
            assert tags["hookline:tenant"] == "acme"
            assert tags["hookline:stage"] == "dev"


def test_logs_end(templates: Templates) -> None:
    for template in templates.values():
        for group in template.of_type("AWS::Logs::LogGroup").values():
            assert group["RetentionInDays"] == 30


def test_the_authorizer_answers_simply_and_is_believed_for_a_minute(tenant: Template) -> None:
    (authorizer,) = tenant.of_type("AWS::ApiGatewayV2::Authorizer").values()
    assert authorizer["AuthorizerPayloadFormatVersion"] == "2.0"
    assert authorizer["EnableSimpleResponses"] is True
    assert authorizer["AuthorizerResultTtlInSeconds"] == 60
    assert authorizer["IdentitySource"] == ["$request.header.Authorization"]


def test_the_access_log_has_no_paths_which_may_hold_tokens(tenant: Template) -> None:
    (stage,) = tenant.of_type("AWS::ApiGatewayV2::Stage").values()
    line = stage["AccessLogSettings"]["Format"]
    assert "$context.routeKey" in line
    assert "path" not in line.lower()
    assert "header" not in line.lower()


def test_the_access_log_is_where_aws_lets_any_number_of_apis_write(templates: Templates) -> None:
    """One policy of the account names all other groups, and has room for some forty."""
    names = []
    for tenant in ("Tenant-acme", "Tenant-globex"):
        template = templates[tenant]
        (stage,) = template.of_type("AWS::ApiGatewayV2::Stage").values()
        group = text(stage["AccessLogSettings"]["DestinationArn"]).removesuffix(".Arn")
        names.append(template.of_type("AWS::Logs::LogGroup")[group]["LogGroupName"])
    assert all(name.startswith("/aws/vendedlogs/hookline/") for name in names)
    assert len(set(names)) == 2


def test_a_deployment_leaves_the_gateways_that_the_load_needs(tenant: Template) -> None:
    """A count in the template would be set again by each change of the service."""
    (gateway,) = (
        one for name, one in tenant.of_type("AWS::ECS::Service").items() if "Gateway" in name
    )
    assert "DesiredCount" not in gateway


def test_production_keeps_its_data_and_has_a_spare_of_everything(synthesize: Synthesize) -> None:
    found = synthesize(
        tenant="acme",
        **{
            "hookline:stage": "prod",
            "hookline:inf1": "true",
            "hookline:region": "us-east-1",
            "hookline:permissions-boundary": "limits",
            "hookline:alarm-topic": "arn:aws:sns:us-east-1:123456789012:pager",
        },
    )
    storage, platform, tenant = found["Storage-acme"], found["Platform"], found["Tenant-acme"]
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue"):
        for resource in storage.body["Resources"].values():
            if resource["Type"] == kind:
                assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    assert len(platform.of_type("AWS::EC2::NatGateway")) == 2
    assert len(platform.of_type("AWS::ECS::CapacityProvider")) == 3
    assert any("Inf1" in name for name in tenant.of_type("AWS::ECS::TaskDefinition"))
    gateway = [
        one["MinCapacity"]
        for name, one in tenant.of_type("AWS::ApplicationAutoScaling::ScalableTarget").items()
        if "Gateway" in name
    ]
    assert gateway == [2]
    for template in found.values():
        for role in template.of_type("AWS::IAM::Role").values():
            assert text(role["PermissionsBoundary"]).endswith(":policy/limits")
    for alarm in found["Observability-acme"].of_type("AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmActions"] == ["arn:aws:sns:us-east-1:123456789012:pager"]


def test_deploying_one_tenant_takes_nothing_from_the_others(
    templates: Templates, synthesize: Synthesize
) -> None:
    """The platform exports the same whichever tenants are deployed with it."""
    alone = synthesize(tenant="initech")
    assert alone["Platform"].body == templates["Platform"].body
