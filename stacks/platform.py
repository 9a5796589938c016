"""What all tenants share: the network, the cluster and its machines, the load balancer."""

from __future__ import annotations

from aws_cdk import RemovalPolicy, Stack, Tags
from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.acknowledged import acknowledge
from stacks.constructs.capacity import Capacity
from stacks.deploying import stack_options
from stacks.devices import MACHINES
from stacks.settings import Deployment

ALB_PORT = 80


class PlatformStack(Stack):
    """`providers` are the capacity providers by device."""

    def __init__(self, scope: Construct, stack_id: str, *, deployment: Deployment) -> None:
        super().__init__(scope, stack_id, **stack_options(deployment))
        Tags.of(self).add("hookline:stage", deployment.stage)
        self.vpc = self._network(deployment)
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            vpc=self.vpc,
            enable_fargate_capacity_providers=True,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
        )
        self.providers = {"cpu": "FARGATE"} | {
            device: Capacity(
                self, device.title(), vpc=self.vpc, cluster=self.cluster, machine=machine
            ).provider.capacity_provider_name
            for device, machine in MACHINES.items()
            if device in deployment.images
        }
        self._entrance(deployment)

    def _network(self, deployment: Deployment) -> ec2.Vpc:
        vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=2,
            nat_gateways=2 if deployment.is_prod else 1,
            restrict_default_security_group=False,  # it would take a function of its own
        )
        vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        vpc.add_gateway_endpoint("Dynamodb", service=ec2.GatewayVpcEndpointAwsService.DYNAMODB)
        records = logs.LogGroup(
            self,
            "Flows",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        vpc.add_flow_log("Flow", destination=ec2.FlowLogDestination.to_cloud_watch_logs(records))
        return vpc

    def _entrance(self, deployment: Deployment) -> None:
        """API Gateway reaches the load balancer, and nothing else does."""
        self.link_group = ec2.SecurityGroup(self, "Link", vpc=self.vpc, description="API Gateway")
        self.balancer_group = ec2.SecurityGroup(
            self, "Balancer", vpc=self.vpc, description="The load balancer"
        )
        self.balancer_group.add_ingress_rule(self.link_group, ec2.Port.tcp(ALB_PORT))
        self.balancer = elbv2.ApplicationLoadBalancer(
            self,
            "Alb",
            vpc=self.vpc,
            internet_facing=False,
            security_group=self.balancer_group,
            drop_invalid_header_fields=True,
            deletion_protection=deployment.is_prod,
        )
        acknowledge(self.balancer, "API Gateway's access log has every request already.", "ELB2")
        self.listener = self.balancer.add_listener(
            "Http",
            port=ALB_PORT,
            open=False,
            default_action=elbv2.ListenerAction.fixed_response(
                404, content_type="text/plain", message_body="There is no such tenant."
            ),
        )
        self.link = gateway.VpcLink(
            self, "VpcLink", vpc=self.vpc, security_groups=[self.link_group]
        )
