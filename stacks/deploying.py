"""What every stack is told of the deployment it belongs to."""

from __future__ import annotations

from typing import TypedDict

from aws_cdk import Environment, PermissionsBoundary, RemovalPolicy
from aws_cdk import aws_logs as logs

from stacks.settings import Deployment


class StackOptions(TypedDict, total=False):
    """Arguments of Stack."""

    env: Environment
    permissions_boundary: PermissionsBoundary
    termination_protection: bool


def stack_options(deployment: Deployment, *, is_stateful: bool = False) -> StackOptions:
    """Without a region the stack goes where the credentials are: synthesis asks AWS nothing."""
    options: StackOptions = {"termination_protection": is_stateful and deployment.is_prod}
    if deployment.region:
        options["env"] = Environment(region=deployment.region)
    if deployment.permissions_boundary:
        name = deployment.permissions_boundary
        options["permissions_boundary"] = PermissionsBoundary.from_name(name)
    return options


def removal_policy(deployment: Deployment) -> RemovalPolicy:
    """What becomes of data when its stack is destroyed."""
    return RemovalPolicy.RETAIN if deployment.is_prod else RemovalPolicy.DESTROY


def log_retention(deployment: Deployment) -> logs.RetentionDays:
    """How long logs are kept."""
    return logs.RetentionDays.THREE_MONTHS if deployment.is_prod else logs.RetentionDays.ONE_MONTH
