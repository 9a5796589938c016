"""Which stars the rights of grants have, each acknowledged with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aws_cdk import Stack
from constructs import IConstruct

from hookline.core.topology import Grant
from stacks.acknowledged import acknowledge
from stacks.grants import Resources

_AREA = "All objects of one area of the tenant's own bucket."
_LINKED = "The operator lets this tenant read these buckets."
_LISTS = "ListServices and ListTasks know no resource; a condition limits them to the cluster."
_SERVICES = "The services of this tenant's groups; no other tenant's begin like that."
_TASKS = "Tasks have random names; a condition limits this to those with the tenant's tag."


def acknowledge_rights(role: IConstruct, grants: Sequence[Grant], resources: Resources) -> None:
    """Accept what `stacks.grants.statements` makes of the same grants."""
    for reason, resource in _stars(grants, resources):
        acknowledge(role, reason, f"IAM5[Resource::{resource}]")


def _stars(grants: Sequence[Grant], resources: Resources) -> Iterator[tuple[str, str]]:
    bucket = _exported(Stack.of(resources.bucket), resources.bucket.bucket_arn)
    for grant in grants:
        if grant.port == "blobs" and grant.verbs - {"list"}:
            yield _AREA, f"{bucket}/{resources.tenant}/{grant.place}/*"
        elif grant.port == "linked" and "read" in grant.verbs:
            for name in resources.linked_buckets:
                yield _LINKED, f"arn:<AWS::Partition>:s3:::{name}/*"
        elif grant.port == "fleet":
            yield from _of_fleet(grant, resources)


def _of_fleet(grant: Grant, resources: Resources) -> Iterator[tuple[str, str]]:
    if resources.fleet is None:
        return
    if grant.verbs & {"observe", "logs"}:
        yield _LISTS, "*"
    cluster = _exported(resources.fleet.stack, resources.fleet.cluster_name)
    begin = "arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>"
    if grant.verbs & {"ensure", "observe", "remove"}:
        yield _SERVICES, f"{begin}:service/{cluster}/{resources.tenant}--*"
    if grant.verbs & {"observe", "find"}:
        yield _TASKS, f"{begin}:task/{cluster}/*"


def _exported(stack: Stack, value: str) -> str:
    """The name under which another stack knows `value`, as cdk-nag prints it."""
    imported = stack.resolve(stack.export_value(value))
    return str(imported["Fn::ImportValue"])
