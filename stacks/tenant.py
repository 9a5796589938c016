"""What serves a tenant: the API, the functions behind it, the gateway, the batch workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aws_cdk import CfnOutput, Fn, RemovalPolicy, Stack, Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from hookline.core.topology import FUNCTIONS, Function, Grant, process_kind
from stacks.bundling import layer
from stacks.constructs.api import TenantApi
from stacks.constructs.function import ControlFunction, Runs
from stacks.constructs.gateway import GatewayService
from stacks.constructs.tasks import LOG_STREAMS, PORT, Size, TaskDefinitions, as_json
from stacks.constructs.workers import WorkerService
from stacks.deploying import log_retention, stack_options
from stacks.devices import CPU, MACHINES
from stacks.grants import TENANT_TAG, Fleet, Resources, statements
from stacks.platform import PlatformStack
from stacks.settings import LEAST_GATEWAYS, Deployment
from stacks.storage import StorageStack
from stacks.wildcards import acknowledge_rights

GATEWAY_SIZE = Size(cpu_units=512, memory_mib=1024)
STREAM_SIZE = Size(cpu_units=1024, memory_mib=4096)
WORKER_SIZE = Size(cpu_units=2048, memory_mib=8192)


class TenantStack(Stack):
    """`functions` by name; `streams` are the task definitions of streams by device."""

    def __init__(
        self,
        scope: Construct,
        stack_id: str,
        *,
        deployment: Deployment,
        tenant: str,
        platform: PlatformStack,
        storage: StorageStack,
    ) -> None:
        super().__init__(scope, stack_id, **stack_options(deployment))
        Tags.of(self).add("hookline:stage", deployment.stage)
        Tags.of(self).add(TENANT_TAG, tenant)
        self._deployment, self._tenant = deployment, tenant
        self._quotas = deployment.quotas[tenant]
        self._platform, self._storage = platform, storage
        self._resources = Resources(
            tenant=tenant,
            table=storage.table,
            bucket=storage.bucket,
            queues=storage.queues,
            linked_buckets=deployment.linked_buckets.get(tenant, ()),
            notify_topics=deployment.notify_topics.get(tenant, ()),
        )
        self._tasks_and_services()
        self._functions()
        self._api()

    def _tasks_and_services(self) -> None:
        self.log_group = logs.LogGroup(
            self,
            "Runtime",
            retention=log_retention(self._deployment),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.tasks = TaskDefinitions(self, images=self._deployment.images, log_group=self.log_group)
        self.gateway = GatewayService(
            self,
            tenant=self._tenant,
            platform=self._platform,
            definition=self._service_definition("gateway", GATEWAY_SIZE),
            least_tasks=LEAST_GATEWAYS[self._deployment.stage],
            most_tasks=self._quotas.max_gateways,
        )
        self.workers = WorkerService(
            self,
            tenant=self._tenant,
            platform=self._platform,
            definition=self._service_definition("worker", WORKER_SIZE),
            shards=self._storage.queues["shards"],
            most_tasks=self._quotas.max_workers,
        )
        self.replica_group = ec2.SecurityGroup(
            self,
            "Replicas",
            vpc=self._platform.vpc,
            description=f"The replicas of {self._tenant}, which answer its gateway only",
        )
        self.replica_group.add_ingress_rule(self.gateway.security_group, ec2.Port.tcp(PORT))
        self._streams()

    def _service_definition(self, kind: str, size: Size) -> ecs.FargateTaskDefinition:
        grants = process_kind(kind).grants
        role = self._role(kind, grants)
        return self.tasks.on_fargate(
            kind, size=size, role=role, environment=self._environment(grants)
        )

    def _role(self, kind: str, grants: tuple[Grant, ...]) -> iam.Role:
        resources = self._reaching(grants)
        role = self.tasks.role(kind, statements(grants, resources))
        acknowledge_rights(role, grants, resources)
        return role

    def _streams(self) -> None:
        """One definition per device: each replica finds its stream in the catalog."""
        grants = process_kind("stream").grants
        environment = self._environment(grants)
        self.stream_role = self._role("stream", grants)
        self.streams: dict[str, ecs.TaskDefinition] = {
            CPU: self.tasks.on_fargate(
                "stream", size=STREAM_SIZE, role=self.stream_role, environment=environment
            )
        }
        for device in MACHINES:
            if device in self._deployment.images:
                self.streams[device] = self.tasks.on_machine(
                    "stream", device, role=self.stream_role, environment=environment
                )

    def _functions(self) -> None:
        runs = Runs(
            layer=layer(self),
            retention=log_retention(self._deployment),
            queues=self._storage.queues,
        )
        self.functions = {function.name: self._function(function, runs) for function in FUNCTIONS}

    def _function(self, function: Function, runs: Runs) -> ControlFunction:
        passed = [self.stream_role.role_arn, self.tasks.execution_role.role_arn]
        resources = self._reaching(function.grants, passed)
        made = ControlFunction(
            self,
            function,
            runs=runs,
            environment=self._environment(function.grants)
            | self._quota_environment()
            | (self._fleet_environment() if resources.fleet else {}),
            rights=statements(function.grants, resources),
        )
        acknowledge_rights(made, function.grants, resources)
        if function.on_fleet_change:
            made.on_fleet_change(self._platform.cluster.cluster_arn, f"{self._tenant}--")
        return made

    def _reaching(self, grants: tuple[Grant, ...], passed: Sequence[str] = ()) -> Resources:
        """The tenant's resources, with the fleet for who has grants of it."""
        if not any(grant.port == "fleet" for grant in grants):
            return self._resources
        fleet = Fleet(
            stack=self._platform,
            cluster_arn=self._platform.cluster.cluster_arn,
            cluster_name=self._platform.cluster.cluster_name,
            log_group_arn=self.log_group.log_group_arn,
            passed_role_arns=passed,
        )
        return replace(self._resources, fleet=fleet)

    def _environment(self, grants: tuple[Grant, ...]) -> dict[str, str]:
        """The settings of adapters/aws/settings.py; of queues, those that are used."""
        used = {grant.place for grant in grants if grant.port == "queue"}
        urls = {name: self._storage.queues[name].queue_url for name in sorted(used)}
        topics = self._resources.notify_topics
        return {
            **({"HOOKLINE_TOPICS": ",".join(topics)} if topics else {}),
            "HOOKLINE_TENANT": self._tenant,
            "HOOKLINE_TABLE": self._storage.table.table_name,
            "HOOKLINE_BUCKET": self._storage.bucket.bucket_name,
            "HOOKLINE_QUEUES": as_json(self, urls),
        }

    def _quota_environment(self) -> dict[str, str]:
        return {
            "HOOKLINE_MAX_STREAMS": str(self._quotas.max_streams),
            "HOOKLINE_MAX_REPLICAS": str(self._quotas.max_replicas),
        }

    def _fleet_environment(self) -> dict[str, str]:
        subnets = self._platform.vpc.private_subnets
        definitions = {f"stream-{device}": made for device, made in self.streams.items()}
        return {
            "HOOKLINE_CLUSTER": self._platform.cluster.cluster_name,
            "HOOKLINE_TASK_DEFINITIONS": as_json(
                self, {name: made.task_definition_arn for name, made in definitions.items()}
            ),
            "HOOKLINE_CAPACITY_PROVIDERS": as_json(self, self._platform.providers),
            "HOOKLINE_SUBNETS": Fn.join(",", [subnet.subnet_id for subnet in subnets]),
            "HOOKLINE_SECURITY_GROUPS": self.replica_group.security_group_id,
            "HOOKLINE_LOG_GROUP": self.log_group.log_group_name,
            "HOOKLINE_LOG_STREAMS": LOG_STREAMS,
        }

    def _api(self) -> None:
        made = TenantApi(
            self,
            tenant=self._tenant,
            functions={name: function.handler for name, function in self.functions.items()},
            listener=self._platform.listener,
            link=self._platform.link,
            requests_per_s=self._quotas.requests_per_s,
            retention=log_retention(self._deployment),
        )
        self.api = made.api
        CfnOutput(self, "Endpoint", value=self.api.api_endpoint)
