"""The entrance of a tenant's predict calls: one service behind one rule of the load balancer."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from stacks.constructs.api import TENANT_HEADER
from stacks.constructs.tasks import CONTAINER, PORT
from stacks.platform import PlatformStack
from stacks.settings import rule_priority

CPU_PERCENT = 60


class GatewayService(Construct):
    """`security_group` is what replicas answer to; `targets` has the metrics."""

    def __init__(
        self,
        scope: Construct,
        *,
        tenant: str,
        platform: PlatformStack,
        definition: ecs.FargateTaskDefinition,
        least_tasks: int,
        most_tasks: int,
    ) -> None:
        super().__init__(scope, "Gateway")
        self.security_group = ec2.SecurityGroup(
            self, "Tasks", vpc=platform.vpc, description=f"The gateway of {tenant}"
        )
        self.security_group.add_ingress_rule(platform.balancer_group, ec2.Port.tcp(PORT))
        self.service = ecs.FargateService(
            self,
            "Service",
            cluster=platform.cluster,
            task_definition=definition,
            # No count, or every change of the service would take back what the scaling has added.
            min_healthy_percent=100,
            security_groups=[self.security_group],
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            health_check_grace_period=Duration.seconds(60),
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            enable_ecs_managed_tags=True,
        )
        self.targets = self._targets(platform)
        elbv2.ApplicationListenerRule(
            self,
            "Rule",
            listener=platform.listener,
            priority=rule_priority(tenant),
            conditions=[elbv2.ListenerCondition.http_header(TENANT_HEADER, [tenant])],
            target_groups=[self.targets],
        )
        scaling = self.service.auto_scale_task_count(
            min_capacity=least_tasks, max_capacity=most_tasks
        )
        scaling.scale_on_cpu_utilization("Load", target_utilization_percent=CPU_PERCENT)

    def _targets(self, platform: PlatformStack) -> elbv2.ApplicationTargetGroup:
        return elbv2.ApplicationTargetGroup(
            self,
            "Targets",
            vpc=platform.vpc,
            port=PORT,
            protocol=elbv2.ApplicationProtocol.HTTP,
            targets=[
                self.service.load_balancer_target(container_name=CONTAINER, container_port=PORT)
            ],
            health_check=elbv2.HealthCheck(
                path="/ping", interval=Duration.seconds(10), healthy_threshold_count=2
            ),
            deregistration_delay=Duration.seconds(30),
            load_balancing_algorithm_type=(
                elbv2.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS
            ),
        )
