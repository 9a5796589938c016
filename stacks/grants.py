"""The grants of core.topology as IAM statements: the actions that the adapters' calls need.

Every tenant has its own table, bucket and queues. Keys inside of them begin with the tenant all the
same, and the conditions here hold that too, so that no mistake in one place opens another tenant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

from hookline.core.topology import Grant

TENANT_TAG = "hookline:tenant"

_CATALOG = {
    "get": ("dynamodb:GetItem",),
    "query": ("dynamodb:Query",),
    "put": ("dynamodb:PutItem",),  # also inside TransactWriteItems, which has no action of its own
    "delete": ("dynamodb:DeleteItem",),
}
_BLOBS = {
    "read": ("s3:GetObject",),
    "list": (),
    "write": ("s3:PutObject",),  # also the parts of a multipart upload
    "abort": ("s3:AbortMultipartUpload",),
    "delete": ("s3:DeleteObject",),
}
_QUEUE = {
    "send": ("sqs:SendMessage",),
    "receive": ("sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"),
    "depth": ("sqs:GetQueueAttributes",),
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where the processes of a tenant's streams run, and what is needed to start one.

    `stack` has the cluster.
    """

    stack: Stack
    cluster_arn: str
    cluster_name: str
    log_group_arn: str
    passed_role_arns: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What belongs to a tenant. `fleet` is None for whoever has nothing to do with it."""

    tenant: str
    table: dynamodb.ITable
    bucket: s3.IBucket
    queues: Mapping[str, sqs.IQueue]
    linked_buckets: Sequence[str] = ()
    notify_topics: Sequence[str] = ()
    fleet: Fleet | None = None


def statements(grants: Sequence[Grant], resources: Resources) -> list[iam.PolicyStatement]:
    """What a role needs for `grants`, and nothing else."""
    return [
        *_catalog([grant for grant in grants if grant.port == "catalog"], resources),
        *_blobs([grant for grant in grants if grant.port == "blobs"], resources),
        *_queues([grant for grant in grants if grant.port == "queue"], resources),
        *_linked([grant for grant in grants if grant.port == "linked"], resources),
        *_topics([grant for grant in grants if grant.port == "topics"], resources),
        *_fleet([grant for grant in grants if grant.port == "fleet"], resources),
    ]


def leading_key(place: str, tenant: str) -> str:
    """The partition of `own` records, of those of `jobs`, or of those of the `platform`."""
    return {"own": f"T#{tenant}", "jobs": f"J#{tenant}", "platform": "T#_"}[place]


def _catalog(grants: Sequence[Grant], resources: Resources) -> Iterator[iam.PolicyStatement]:
    """A transaction may write to several partitions, so what is allowed in all is said at once."""
    places = {
        verb: tuple(grant.place for grant in grants if verb in grant.verbs) for verb in _CATALOG
    }
    for chosen in dict.fromkeys(filter(None, places.values())):
        yield iam.PolicyStatement(
            actions=[
                action
                for verb, actions in _CATALOG.items()
                if places[verb] == chosen
                for action in actions
            ],
            resources=[resources.table.table_arn],
            conditions={
                "ForAllValues:StringEquals": {
                    "dynamodb:LeadingKeys": [
                        leading_key(place, resources.tenant) for place in chosen
                    ]
                },
                # "For all values" is also true of none.
                "Null": {"dynamodb:LeadingKeys": "false"},
            },
        )


def _blobs(grants: Sequence[Grant], resources: Resources) -> Iterator[iam.PolicyStatement]:
    for grant in grants:
        actions = _actions(_BLOBS, grant)
        if actions:
            key = f"{resources.tenant}/{grant.place}/*"
            yield iam.PolicyStatement(
                actions=actions, resources=[resources.bucket.arn_for_objects(key)]
            )
    seen = [grant.place for grant in grants if grant.verbs & {"read", "list"}]
    if seen:
        # Without it, S3 says of an absent object that it is forbidden, not that it is absent; those
        # requests have no prefix, which is why the condition holds "if exists".
        prefixes = [f"{resources.tenant}/{place}/*" for place in seen]
        yield iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[resources.bucket.bucket_arn],
            conditions={"StringLikeIfExists": {"s3:prefix": prefixes}},
        )


def _queues(grants: Sequence[Grant], resources: Resources) -> Iterator[iam.PolicyStatement]:
    for grant in grants:
        queue = resources.queues[grant.place]
        yield iam.PolicyStatement(actions=_actions(_QUEUE, grant), resources=[queue.queue_arn])


def _linked(grants: Sequence[Grant], resources: Resources) -> Iterator[iam.PolicyStatement]:
    if not grants or not resources.linked_buckets:
        return
    arns = [_bucket_arn(resources.bucket, name) for name in resources.linked_buckets]
    yield iam.PolicyStatement(actions=["s3:ListBucket"], resources=arns)
    if any("read" in grant.verbs for grant in grants):
        yield iam.PolicyStatement(actions=["s3:GetObject"], resources=[f"{arn}/*" for arn in arns])


def _topics(grants: Sequence[Grant], resources: Resources) -> Iterator[iam.PolicyStatement]:
    if grants and resources.notify_topics:
        yield iam.PolicyStatement(actions=["sns:Publish"], resources=list(resources.notify_topics))


def _bucket_arn(near: s3.IBucket, name: str) -> str:
    return f"arn:{Stack.of(near).partition}:s3:::{name}"


def _fleet(grants: Sequence[Grant], resources: Resources) -> Iterator[iam.PolicyStatement]:
    if not grants:
        return
    if resources.fleet is None:
        raise ValueError("There are grants of the fleet, and no fleet.")
    verbs = frozenset[str]().union(*(grant.verbs for grant in grants))
    # `<tenant>--` begins the names of the services of its groups: see adapters/aws/services.py.
    services = _ecs_arn(resources, "service", f"{resources.tenant}--*")
    if verbs & {"ensure", "remove"}:
        yield from _changes(resources.fleet, services, verbs)
    if "observe" in verbs:
        yield from _observations(resources.fleet, services)
    if verbs & {"observe", "find"}:
        yield _described(resources)
    if verbs & {"observe", "logs"}:
        yield from _logs(resources.fleet, verbs)


def _changes(fleet: Fleet, services: str, verbs: frozenset[str]) -> Iterator[iam.PolicyStatement]:
    if "ensure" in verbs:
        yield iam.PolicyStatement(
            actions=["ecs:CreateService", "ecs:UpdateService"], resources=[services]
        )
        yield iam.PolicyStatement(
            actions=["ecs:TagResource"],
            resources=[services],
            conditions={"StringEquals": {"ecs:CreateAction": "CreateService"}},
        )
        yield iam.PolicyStatement(
            actions=["iam:PassRole"],
            resources=list(fleet.passed_role_arns),
            conditions={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        )
    if "remove" in verbs:
        yield iam.PolicyStatement(actions=["ecs:DeleteService"], resources=[services])


def _observations(fleet: Fleet, services: str) -> Iterator[iam.PolicyStatement]:
    yield iam.PolicyStatement(actions=["ecs:DescribeServices"], resources=[services])
    yield _listed(fleet, "ecs:ListServices", "ecs:ListTasks")


def _described(resources: Resources) -> iam.PolicyStatement:
    """Tasks have random names, and the tags of their services."""
    return iam.PolicyStatement(
        actions=["ecs:DescribeTasks"],
        resources=[_ecs_arn(resources, "task", "*")],
        conditions={"StringEquals": {f"aws:ResourceTag/{TENANT_TAG}": resources.tenant}},
    )


def _listed(fleet: Fleet, *actions: str) -> iam.PolicyStatement:
    """These cannot be limited to resources, but to a cluster."""
    return iam.PolicyStatement(
        actions=list(actions),
        resources=["*"],
        conditions={"ArnEquals": {"ecs:cluster": fleet.cluster_arn}},
    )


def _logs(fleet: Fleet, verbs: frozenset[str]) -> Iterator[iam.PolicyStatement]:
    if "logs" in verbs:
        yield iam.PolicyStatement(actions=["logs:FilterLogEvents"], resources=[fleet.log_group_arn])
    if "logs" in verbs and "observe" not in verbs:
        yield _listed(fleet, "ecs:ListTasks")
    if "observe" in verbs:  # the last lines of a process that has ended
        yield iam.PolicyStatement(actions=["logs:GetLogEvents"], resources=[fleet.log_group_arn])


def _ecs_arn(resources: Resources, kind: str, name: str) -> str:
    fleet = resources.fleet
    cluster = fleet.cluster_name if fleet else ""
    return Stack.of(resources.table).format_arn(
        service="ecs",
        resource=kind,
        resource_name=f"{cluster}/{name}",
        arn_format=ArnFormat.SLASH_RESOURCE_NAME,
    )


def _actions(table: Mapping[str, tuple[str, ...]], grant: Grant) -> list[str]:
    return [action for verb in sorted(grant.verbs) for action in table[verb]]
