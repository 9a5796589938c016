"""Instances with an accelerator, which ECS starts when tasks need them and ends when none does."""

from __future__ import annotations

from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.acknowledged import acknowledge
from stacks.devices import Machine

MAX_INSTANCES = 8
DISK_GIB = 100


class Capacity(Construct):
    """`provider` is the cluster's capacity provider for one device; it costs nothing when idle."""

    def __init__(
        self,
        scope: Construct,
        device: str,
        *,
        vpc: ec2.IVpc,
        cluster: ecs.Cluster,
        machine: Machine,
    ) -> None:
        super().__init__(scope, device)
        group = autoscaling.AutoScalingGroup(
            self,
            "Instances",
            vpc=vpc,
            launch_template=self._template(vpc, cluster, machine),
            min_capacity=0,
            max_capacity=MAX_INSTANCES,
            group_metrics=[autoscaling.GroupMetrics.all()],
        )
        acknowledge(
            group, "ECS starts and ends these instances; its own events tell of them.", "AS3"
        )
        # Protection and draining are ECS's own: otherwise CDK adds a function and a topic for them.
        self.provider = ecs.AsgCapacityProvider(
            self,
            "Provider",
            auto_scaling_group=group,
            enable_managed_scaling=True,
            enable_managed_termination_protection=True,
            enable_managed_draining=True,
            target_capacity_percent=100,
        )
        cluster.add_asg_capacity_provider(self.provider)

    def _template(
        self, vpc: ec2.IVpc, cluster: ecs.ICluster, machine: Machine
    ) -> ec2.LaunchTemplate:
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            inline_policies={"Agent": iam.PolicyDocument(statements=_agent(cluster))},
        )
        acknowledge(
            role,
            "DiscoverPollEndpoint knows no resource; a condition limits the others to the cluster.",
            "IAM5[Resource::*]",
        )
        return ec2.LaunchTemplate(
            self,
            "Template",
            instance_type=ec2.InstanceType(machine.instance_type),
            machine_image=ec2.MachineImage.from_ssm_parameter(machine.ami_parameter),
            user_data=ec2.UserData.for_linux(),
            require_imdsv2=True,
            security_group=ec2.SecurityGroup(
                self, "Instance", vpc=vpc, description="Instances; tasks have their own groups"
            ),
            role=role.without_policy_updates(),  # CDK would add `ecs:Submit*` and more
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(DISK_GIB, encrypted=True),
                )
            ],
        )


def _agent(cluster: ecs.ICluster) -> list[iam.PolicyStatement]:
    """What the ECS agent of an instance does. Tasks have roles of their own."""
    return [
        iam.PolicyStatement(
            actions=[
                "ecs:DeregisterContainerInstance",
                "ecs:RegisterContainerInstance",
                "ecs:SubmitAttachmentStateChanges",
                "ecs:SubmitContainerStateChange",
                "ecs:SubmitTaskStateChange",
            ],
            resources=[cluster.cluster_arn],
        ),
        iam.PolicyStatement(
            actions=["ecs:Poll", "ecs:StartTelemetrySession"],
            resources=["*"],
            conditions={"ArnEquals": {"ecs:cluster": cluster.cluster_arn}},
        ),
        iam.PolicyStatement(actions=["ecs:DiscoverPollEndpoint"], resources=["*"]),
    ]
