"""Findings of cdk-nag that are meant to be so: one call per finding, each with its reason."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def acknowledge(scope: IConstruct, reason: str, *findings: str) -> None:
    """Accept `findings` (`IAM5[Resource::*]`) on `scope` and all below it."""
    for finding in findings:
        Validations.of(scope).acknowledge(
            Acknowledgment(id=f"AwsSolutions-{finding}", reason=reason)
        )
