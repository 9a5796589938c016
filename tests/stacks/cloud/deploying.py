"""Creates synthesized templates in moto. What its CloudFormation lacks is left out, and told."""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from botocore.session import Session
from moto.core.common_models import CloudFormationModel

ACCOUNT, REGION = "123456789012", "eu-west-1"
ASSETS = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"

Template = dict[str, Any]

# The services whose resources the templates have; moto knows a type once its module is imported.
_SERVICES = (
    *("autoscaling", "awslambda", "cloudwatch", "dynamodb", "ec2", "ecs", "elbv2", "events"),
    *("iam", "logs", "s3", "sqs"),
)
# Types that moto makes, without the attributes that an output asks for.
_NO_ATTRIBUTE = frozenset({"TargetGroupFullName", "LoadBalancerFullName"})


def prepare(session: Session) -> None:
    """What `cdk bootstrap` makes."""
    place = {"LocationConstraint": REGION}
    client_of(session, "s3").create_bucket(Bucket=ASSETS, CreateBucketConfiguration=place)
    client_of(session, "ssm").put_parameter(
        Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String"
    )


def create(session: Session, assembly: Path, stack: str) -> dict[str, str]:
    """Create one stack; return the types of what was left out, by logical id."""
    _publish(session, assembly, stack)
    template: Template = json.loads((assembly / f"{stack}.template.json").read_text())
    reduced, left_out = _without(template, _lacking(template))
    _name_fifo_queues(reduced, stack)
    client_of(session, "cloudformation").create_stack(
        StackName=stack, TemplateBody=json.dumps(reduced)
    )
    _tell_of_objects(session, reduced, physical_ids(session, stack))
    _pause_pollers(session)
    return left_out


def client_of(session: Session, service: str) -> Any:
    """Of any service: the types of most are not installed."""
    return session.create_client(service)


def physical_ids(session: Session, stack: str) -> dict[str, str]:
    """What CloudFormation made of each logical id."""
    client = client_of(session, "cloudformation")
    found = client.describe_stack_resources(StackName=stack)["StackResources"]
    return {one["LogicalResourceId"]: one.get("PhysicalResourceId", "") for one in found}


@cache
def known_types() -> frozenset[str]:
    """What moto's CloudFormation can make."""
    for service in _SERVICES:
        importlib.import_module(f"moto.{service}.models")
    return frozenset(one.cloudformation_type() for one in _below(CloudFormationModel))


def _below(kind: Any) -> Iterator[Any]:
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)


def _lacking(template: Template) -> dict[str, str]:
    kinds = {name: resource["Type"] for name, resource in template["Resources"].items()}
    return {name: kind for name, kind in kinds.items() if kind not in known_types()}


def _without(template: Template, lacking: Mapping[str, str]) -> tuple[Template, dict[str, str]]:
    kept = {
        name: _stubbed(resource, lacking)
        for name, resource in template["Resources"].items()
        if name not in lacking
    }
    outputs = _stubbed(template.get("Outputs", {}), lacking)
    return {**template, "Resources": kept, "Outputs": outputs}, dict(lacking)


def _stubbed(value: Any, lacking: Mapping[str, str]) -> Any:
    """References to what is left out become names that nothing has."""
    if isinstance(value, list):
        return [_stubbed(one, lacking) for one in value if _is_left(one, lacking)]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("Ref"), str) and value["Ref"] in lacking:
        return f"left-out-{value['Ref']}"
    name, attribute = value.get("Fn::GetAtt", ("", ""))
    if name in lacking or attribute in _NO_ATTRIBUTE:
        return f"left-out-{name}-{attribute}"
    return {key: _stubbed(one, lacking) for key, one in value.items()}


def _is_left(value: Any, lacking: Mapping[str, str]) -> bool:
    """Names of resources stand in lists of what to wait for."""
    return not (isinstance(value, str) and value in lacking)


def _name_fifo_queues(template: Template, stack: str) -> None:
    """CloudFormation gives their names the end that they must have; moto's does not."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::SQS::Queue" and resource["Properties"].get("FifoQueue"):
            resource["Properties"]["QueueName"] = f"{stack}-{name}.fifo"


def _tell_of_objects(session: Session, template: Template, ids: Mapping[str, str]) -> None:
    """moto's CloudFormation makes buckets without their notifications."""
    for name, resource in template["Resources"].items():
        wanted = resource.get("Properties", {}).get("NotificationConfiguration")
        if resource["Type"] == "AWS::S3::Bucket" and wanted:
            assert wanted == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
            client_of(session, "s3").put_bucket_notification_configuration(
                Bucket=ids[name], NotificationConfiguration={"EventBridgeConfiguration": {}}
            )


def _pause_pollers(session: Session) -> None:
    """moto would hand messages to functions that it does not run, and delete them."""
    client = client_of(session, "lambda")
    for one in client.list_event_source_mappings()["EventSourceMappings"]:
        client.update_event_source_mapping(UUID=one["UUID"], Enabled=False)


def _publish(session: Session, assembly: Path, stack: str) -> None:
    s3 = client_of(session, "s3")
    files = json.loads((assembly / f"{stack}.assets.json").read_text())["files"]
    for file in files.values():
        data = _packed(assembly / file["source"]["path"])
        for place in file["destinations"].values():
            s3.put_object(Bucket=ASSETS, Key=place["objectKey"], Body=data)


@cache
def _packed(source: Path) -> bytes:
    if source.is_file():
        return source.read_bytes()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(source.rglob("*.py")):
            archive.write(path, path.relative_to(source))
    return target.getvalue()
