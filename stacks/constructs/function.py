"""One function of core.topology as a Lambda, with the rights it is granted and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from hookline.core.topology import Function
from stacks.bundling import ARCHITECTURE, RUNTIME

MAX_CONCURRENCY = 10  # messages of one tenant must not take the account's functions from others

_SOURCE = Path(__file__).parents[2] / "functions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What every function of a tenant has in common."""

    layer: lambda_.ILayerVersion
    retention: logs.RetentionDays
    queues: Mapping[str, sqs.IQueue]


class ControlFunction(Construct):
    """`functions/<name>/handler.py`, and everything that calls it but the API."""

    def __init__(
        self,
        scope: Construct,
        function: Function,
        *,
        runs: Runs,
        environment: Mapping[str, str],
        rights: Sequence[iam.PolicyStatement],
    ) -> None:
        super().__init__(scope, function.name.title())
        self._runs = runs
        log_group = logs.LogGroup(
            self, "Logs", retention=runs.retention, removal_policy=RemovalPolicy.DESTROY
        )
        self.handler = lambda_.Function(
            self,
            "Handler",
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            code=lambda_.Code.from_asset(str(_SOURCE / function.name), exclude=["**/__pycache__"]),
            handler="handler.handler",
            layers=[runs.layer],
            environment=dict(environment),
            timeout=Duration.seconds(function.timeout_s),
            memory_size=function.memory_mb,
            role=self._role(function, log_group, rights),
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            recursive_loop=_loop(function),
        )
        self._listen(function)

    def _role(
        self,
        function: Function,
        log_group: logs.LogGroup,
        rights: Sequence[iam.PolicyStatement],
    ) -> iam.Role:
        own = [
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[log_group.log_group_arn],
            )
        ]
        if function.queue:  # what Lambda's poller does in the function's name
            own.append(
                iam.PolicyStatement(
                    actions=["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
                    resources=[self._runs.queues[function.queue].queue_arn],
                )
            )
        policy = iam.PolicyDocument(statements=[*own, *rights], minimize=False)
        return iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={"Rights": policy},
        )

    def _listen(self, function: Function) -> None:
        if function.queue:
            self._poll(function)
        if function.every_s:
            self._on("Schedule", schedule=events.Schedule.rate(Duration.seconds(function.every_s)))

    def _poll(self, function: Function) -> None:
        window = Duration.seconds(function.batch_window_s) if function.batch_window_s else None
        lambda_.EventSourceMapping(
            self,
            "Messages",
            target=self.handler,
            event_source_arn=self._runs.queues[function.queue].queue_arn,
            batch_size=function.batch_items,
            max_batching_window=window,
            max_concurrency=MAX_CONCURRENCY,
            report_batch_item_failures=True,
        )

    def on_fleet_change(self, cluster_arn: str, services: str) -> None:
        """Call it when a task of a service whose name begins with `services` changes."""
        pattern = events.EventPattern(
            source=["aws.ecs"],
            detail_type=["ECS Task State Change"],
            detail={"clusterArn": [cluster_arn], "group": [{"prefix": f"service:{services}"}]},
        )
        self._on("FleetChange", event_pattern=pattern)

    def _on(
        self,
        name: str,
        *,
        schedule: events.Schedule | None = None,
        event_pattern: events.EventPattern | None = None,
    ) -> None:
        """No dead letters: the schedule soon does what a lost event asked for."""
        target = targets.LambdaFunction(self.handler, retry_attempts=2)
        events.Rule(self, name, schedule=schedule, event_pattern=event_pattern, targets=[target])


def _loop(function: Function) -> lambda_.RecursiveLoop | None:
    """Work that goes on in another run is a message to itself; every chain of them has an end.

    Lambda stops a chain after 16 calls unless told that it is meant.
    """
    is_meant = any(
        grant.port == "queue" and grant.place == function.queue and "send" in grant.verbs
        for grant in function.grants
    )
    return lambda_.RecursiveLoop.ALLOW if is_meant else None
