"""What the processes of a tenant run as: one task definition per kind of process and device."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Annotations, Duration, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.acknowledged import acknowledge
from stacks.devices import CPU, MACHINES, Machine

PORT = 8080  # what the image listens on
CONTAINER, LOG_PREFIX = "runtime", "hookline"
LOG_STREAMS = f"{LOG_PREFIX}/{CONTAINER}"  # how the streams of a task's log begin

_STOP = Duration.seconds(120)  # Fargate's most: requests in flight, or the shard in hand
_PING = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT}/ping', timeout=4)"
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[\w-]+)\.amazonaws\.com(\.cn)?/(?P<name>[^:@]+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a task on Fargate has: 1024 units are one CPU."""

    cpu_units: int
    memory_mib: int


class TaskDefinitions(Construct):
    """`execution_role` fetches images and writes logs; what runs in a task never has it."""

    def __init__(
        self, scope: Construct, *, images: Mapping[str, str], log_group: logs.ILogGroup
    ) -> None:
        super().__init__(scope, "Tasks")
        self._images, self._log_group = images, log_group
        self.execution_role = iam.Role(
            self,
            "Execution",
            assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
            inline_policies={"Rights": iam.PolicyDocument(statements=self._starting())},
        )
        acknowledge(
            self.execution_role, "GetAuthorizationToken knows no resource.", "IAM5[Resource::*]"
        )

    def role(self, name: str, rights: Sequence[iam.PolicyStatement]) -> iam.Role:
        """What a task may do."""
        policy = iam.PolicyDocument(statements=list(rights), minimize=False)
        return iam.Role(
            self,
            f"{name.title()}Role",
            assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
            inline_policies={"Rights": policy},
        )

    def on_fargate(
        self, kind: str, *, size: Size, role: iam.Role, environment: Mapping[str, str]
    ) -> ecs.FargateTaskDefinition:
        """A definition for the device cpu."""
        definition = ecs.FargateTaskDefinition(
            self,
            f"{kind.title()}{CPU.title()}",
            cpu=size.cpu_units,
            memory_limit_mib=size.memory_mib,
            execution_role=self.execution_role.without_policy_updates(),
            task_role=role.without_policy_updates(),
        )
        self._container(definition, kind, CPU, environment)
        return definition

    def on_machine(
        self, kind: str, device: str, *, role: iam.Role, environment: Mapping[str, str]
    ) -> ecs.Ec2TaskDefinition:
        """A definition for a device that Fargate does not have."""
        machine = MACHINES[device]
        definition = ecs.Ec2TaskDefinition(
            self,
            f"{kind.title()}{device.title()}",
            network_mode=ecs.NetworkMode.AWS_VPC,
            execution_role=self.execution_role.without_policy_updates(),
            task_role=role.without_policy_updates(),
            placement_constraints=[
                ecs.PlacementConstraint.member_of(
                    f"attribute:ecs.instance-type == {machine.instance_type}"
                )
            ],
        )
        self._container(definition, kind, device, environment)
        return definition

    def _container(
        self,
        definition: ecs.TaskDefinition,
        kind: str,
        device: str,
        environment: Mapping[str, str],
    ) -> None:
        machine = MACHINES.get(device)
        container = definition.add_container(
            CONTAINER,
            image=ecs.ContainerImage.from_registry(self._images[device]),
            command=[kind],
            environment=dict(environment),
            logging=ecs.LogDrivers.aws_logs(stream_prefix=LOG_PREFIX, log_group=self._log_group),
            port_mappings=[] if kind == "worker" else [ecs.PortMapping(container_port=PORT)],
            health_check=None if kind == "worker" else _health_check(),
            stop_timeout=_STOP,
            memory_reservation_mib=machine.task_memory_mib if machine else None,
            gpu_count=(machine.gpus or None) if machine else None,
            linux_parameters=self._linux(kind, device, machine),
        )
        Annotations.of(container).acknowledge_warning(
            "@aws-cdk/aws-ecs:ecrImageRequiresPolicy", "The execution role may pull it."
        )
        acknowledge(definition, "Its environment has names of resources and no secrets.", "ECS2")

    def _linux(self, kind: str, device: str, machine: Machine | None) -> ecs.LinuxParameters:
        """An init process, which reaps what hooks leave behind; and the devices."""
        linux = ecs.LinuxParameters(
            self, f"{kind.title()}{device.title()}Linux", init_process_enabled=True
        )
        for chip in range(machine.neuron_chips if machine else 0):
            path = f"/dev/neuron{chip}"
            linux.add_devices(
                ecs.Device(
                    host_path=path,
                    container_path=path,
                    permissions=[ecs.DevicePermission.READ, ecs.DevicePermission.WRITE],
                )
            )
            linux.add_capabilities(ecs.Capability.IPC_LOCK)
        return linux

    def _starting(self) -> list[iam.PolicyStatement]:
        repositories = sorted({*filter(None, map(self._repository, self._images.values()))})
        writes = iam.PolicyStatement(
            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[self._log_group.log_group_arn],
        )
        if not repositories:
            return [writes]
        pulls = iam.PolicyStatement(
            actions=[
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ],
            resources=repositories,
        )
        token = iam.PolicyStatement(actions=["ecr:GetAuthorizationToken"], resources=["*"])
        return [writes, pulls, token]

    def _repository(self, image: str) -> str:
        """The ARN of an image's repository; "" for one that is not in ECR."""
        found = _ECR.match(image)
        if found is None:
            return ""
        place = f"{found['region']}:{found['account']}"
        return f"arn:{Stack.of(self).partition}:ecr:{place}:repository/{found['name']}"


def _health_check() -> ecs.HealthCheck:
    """Ready when it answers; loading a model and compiling for a device may take minutes."""
    return ecs.HealthCheck(
        command=["CMD", "python", "-c", _PING],
        interval=Duration.seconds(5),
        timeout=Duration.seconds(5),
        retries=3,
        start_period=Duration.seconds(300),  # ECS's most
    )


def as_json(stack: Stack, values: Mapping[str, str]) -> str:
    """JSON in one line, of values that CloudFormation knows later."""
    return stack.to_json_string(dict(values)) if values else json.dumps({})
