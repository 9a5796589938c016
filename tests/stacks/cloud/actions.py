"""Which rights a request takes, by AWS's Service Authorization Reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.stacks.cloud.deploying import ACCOUNT, REGION
from tests.stacks.cloud.rights import Call, NotJudged

Params = Mapping[str, Any]

# Operations, and the actions that they take.
_ITEMS = {name: name for name in ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem")}
_TRANSACTED = {
    "Put": "dynamodb:PutItem",
    "Delete": "dynamodb:DeleteItem",
    "Update": "dynamodb:UpdateItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}
_OBJECTS = {
    "s3:GetObject": "s3:GetObject",
    "s3:HeadObject": "s3:GetObject",
    "s3:PutObject": "s3:PutObject",
    "s3:DeleteObject": "s3:DeleteObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:AbortMultipartUpload": "s3:AbortMultipartUpload",
}
_QUEUES = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:ReceiveMessage": "sqs:ReceiveMessage",
    "sqs:DeleteMessage": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibility",
    "sqs:GetQueueAttributes": "sqs:GetQueueAttributes",
}
_LISTINGS = frozenset({"ecs:ListServices", "ecs:ListTasks"})
_LOG_STREAMS = frozenset({"logs:CreateLogStream", "logs:GetLogEvents", "logs:PutLogEvents"})


@dataclass(frozen=True, slots=True)
class Actions:
    """`roles_of` a task definition and `tags_of` a task are what requests do not tell."""

    roles_of: Callable[[str], list[str]]
    tags_of: Callable[[str], Mapping[str, str]]

    def needed(self, operation: str, params: Params) -> list[Call]:
        """Raise NotJudged for an operation that is not known here."""
        service, _, name = operation.partition(":")
        services: dict[str, Callable[[str, Params], Iterator[Call]]] = {
            "dynamodb": _of_table,
            "ecs": self._of_cluster,
            "logs": _of_logs,
            "s3": _of_bucket,
            "sns": _of_topic,
            "sqs": _of_queue,
        }
        calls = list(services[service](operation, params)) if service in services else []
        if not calls:
            raise NotJudged(f"The checker does not know what {service} {name} takes.")
        return calls

    def _of_cluster(self, operation: str, params: Params) -> Iterator[Call]:
        cluster = params["cluster"].rpartition("/")[2]
        if operation in _LISTINGS:
            yield Call.of(operation, "*", ecs__cluster=[_arn("ecs", f"cluster/{cluster}")])
        elif operation == "ecs:DescribeTasks":
            for task in params["tasks"]:
                tags = {
                    f"aws:ResourceTag/{key}": [value] for key, value in self.tags_of(task).items()
                }
                yield Call.of(operation, task, **tags)
        elif operation == "ecs:DescribeServices":
            for name in params["services"]:
                yield Call(operation, _service(cluster, name))
        elif operation == "ecs:DeleteService":
            yield Call(operation, _service(cluster, params["service"]))
        elif operation in ("ecs:CreateService", "ecs:UpdateService"):
            yield from self._of_change(operation, cluster, params)

    def _of_change(self, operation: str, cluster: str, params: Params) -> Iterator[Call]:
        """A service that is to run a task definition is handed its roles."""
        service = _service(cluster, params.get("serviceName") or params["service"])
        yield Call(operation, service)
        if params.get("tags"):
            created = operation.partition(":")[2]
            yield Call.of("ecs:TagResource", service, ecs__CreateAction=[created])
        for role in self.roles_of(params["taskDefinition"]):
            to = {"iam__PassedToService": ["ecs-tasks.amazonaws.com"]}
            yield Call.of("iam:PassRole", role, **to)


def _of_table(operation: str, params: Params) -> Iterator[Call]:
    if operation == "dynamodb:TransactWriteItems":
        yield from _of_transaction(params)
        return
    table = _arn("dynamodb", f"table/{params['TableName']}")
    if operation in _ITEMS:
        yield _keyed(_ITEMS[operation], table, [_leading_key(params)])
    elif operation == "dynamodb:Query":
        assert params["KeyConditionExpression"].startswith("pk = :pk AND ")
        yield _keyed(operation, table, [params["ExpressionAttributeValues"][":pk"]["S"]])


def _of_transaction(params: Params) -> Iterator[Call]:
    """Each kind of write is asked for with all the keys it touches: at least as strict as AWS."""
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    for item in params["TransactItems"]:
        ((kind, write),) = item.items()
        table = _arn("dynamodb", f"table/{write['TableName']}")
        keys[_TRANSACTED[kind], table].add(_leading_key(write))
    for (action, table), found in keys.items():
        yield _keyed(action, table, sorted(found))


def _leading_key(params: Params) -> str:
    key: str = (params.get("Item") or params["Key"])["pk"]["S"]
    return key


def _keyed(action: str, table: str, keys: list[str]) -> Call:
    return Call.of(action, table, dynamodb__LeadingKeys=keys)


def _of_bucket(operation: str, params: Params) -> Iterator[Call]:
    bucket = f"arn:aws:s3:::{params['Bucket']}"
    if operation == "s3:ListObjectsV2":
        prefix = {"s3__prefix": [params["Prefix"]]} if "Prefix" in params else {}
        yield Call.of("s3:ListBucket", bucket, **prefix)
    elif operation in _OBJECTS:
        yield Call(_OBJECTS[operation], f"{bucket}/{params['Key']}")


def _of_queue(operation: str, params: Params) -> Iterator[Call]:
    if operation in _QUEUES:
        yield Call(_QUEUES[operation], _arn("sqs", params["QueueUrl"].rpartition("/")[2]))


def _of_topic(operation: str, params: Params) -> Iterator[Call]:
    if operation == "sns:Publish":
        yield Call(operation, params["TopicArn"])


def _of_logs(operation: str, params: Params) -> Iterator[Call]:
    """Streams are named below their group; what asks for a whole group names none (`:`)."""
    group = _arn("logs", f"log-group:{params['logGroupName']}")
    if operation == "logs:FilterLogEvents":
        yield Call(operation, f"{group}:log-stream:")
    elif operation in _LOG_STREAMS:
        yield Call(operation, f"{group}:log-stream:{params['logStreamName']}")


def _service(cluster: str, name: str) -> str:
    return _arn("ecs", f"service/{cluster}/{name}")


def _arn(service: str, name: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"
