"""A tenant's batch workers: as many as the waiting shards need, none when there are none."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.platform import PlatformStack

SHARDS_PER_TASK = 8
COUNTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)  # those that are chosen from, below the most
_MINUTE = Duration.minutes(1)


class WorkerService(Construct):
    """`service`, which scales by the backlog of `shards`: waiting and in hand."""

    def __init__(
        self,
        scope: Construct,
        *,
        tenant: str,
        platform: PlatformStack,
        definition: ecs.FargateTaskDefinition,
        shards: sqs.IQueue,
        most_tasks: int,
    ) -> None:
        super().__init__(scope, "Workers")
        group = ec2.SecurityGroup(
            self, "Tasks", vpc=platform.vpc, description=f"The batch workers of {tenant}"
        )
        self.service = ecs.FargateService(
            self,
            "Service",
            cluster=platform.cluster,
            task_definition=definition,
            desired_count=0,
            min_healthy_percent=0,
            max_healthy_percent=200,
            security_groups=[group],
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            enable_ecs_managed_tags=True,
        )
        count = self.service.auto_scale_task_count(min_capacity=0, max_capacity=most_tasks)
        count.scale_on_metric(
            "Backlog",
            metric=backlog(shards),
            adjustment_type=scaling.AdjustmentType.EXACT_CAPACITY,
            scaling_steps=steps(most_tasks),
            cooldown=_MINUTE,
            evaluation_periods=1,
        )


def backlog(queue: sqs.IQueue) -> cloudwatch.MathExpression:
    """Messages that wait or are held. Those in hand count, or the last workers would be stopped."""
    return cloudwatch.MathExpression(
        expression="FILL(waiting, 0) + FILL(held, 0)",
        using_metrics={
            "waiting": queue.metric_approximate_number_of_messages_visible(
                statistic="Maximum", period=_MINUTE
            ),
            "held": queue.metric_approximate_number_of_messages_not_visible(
                statistic="Maximum", period=_MINUTE
            ),
        },
        period=_MINUTE,
        label="shards",
    )


def steps(most_tasks: int) -> list[scaling.ScalingInterval]:
    """So many tasks that none has more than SHARDS_PER_TASK, as far as there are tasks.

    There are two alarms, below and above a limit, and both are on at the limit itself. No backlog
    is ever there: it is whole, and limits are halfway.
    """
    counts = [*(count for count in COUNTS if count < most_tasks), most_tasks]
    limits = [count * SHARDS_PER_TASK + 0.5 for count in counts]  # where the count is too small
    bounds = zip(counts[1:], limits, limits[1:], strict=False)
    busy = [
        scaling.ScalingInterval(change=tasks, lower=lower, upper=upper)
        for tasks, lower, upper in bounds
    ]
    last = busy[-1]
    busy[-1] = scaling.ScalingInterval(change=last.change, lower=last.lower)
    return [scaling.ScalingInterval(change=0, upper=limits[0]), *busy]
