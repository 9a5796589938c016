"""What a person's own AWS credentials see of deployed tenants: their stacks and the outputs.

Processes on AWS are told by their environment; this is for those who deploy them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)
from botocore.session import Session

from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.errors import translated
from hookline.core.errors import (
    BadRequest,
    Conflict,
    HooklineError,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from hookline.core.topology import stack_name

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

SERVING, STORAGE = "Tenant", "Storage"
_SERVES = re.compile(stack_name(r"(?P<stage>[a-z]+)", SERVING, r"(?P<tenant>[a-z0-9]+)"))
_NO_CREDENTIALS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)
_BAD_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedTenant:
    """A tenant whose stack is there. `status` is CloudFormation's word for it."""

    tenant: str
    stage: str
    region: str
    endpoint: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where the records and blobs of a tenant are."""

    table: str
    bucket: str


def clients_of_caller(region: str = "") -> Clients:
    """Clients with the credentials that AWS's own tools would use. Raise BadRequest for a region.

    Without `region` it is that of AWS_DEFAULT_REGION or of the AWS profile.
    """
    session = Session()
    with _explained():
        if region:
            session.set_config_variable("region", region)
        chosen = session.get_config_variable("region")
        known = {
            name
            for partition in session.get_available_partitions()
            for name in session.get_available_regions("ec2", partition)
        }
    if not chosen:
        raise BadRequest("No AWS region is named.", hint="Give --region, or set AWS_REGION.")
    if chosen not in known:
        raise BadRequest(f"AWS has no region {chosen!r}.", hint="Give one such as eu-west-1.")
    return Clients(session)


def tenants(clients: Clients) -> Iterator[DeployedTenant]:
    """Every tenant that serves in the region of `clients`."""
    with _explained():
        for page in clients.cloudformation.get_paginator("describe_stacks").paginate():
            for stack in page["Stacks"]:
                if found := _SERVES.fullmatch(stack["StackName"]):
                    yield _deployed(clients, stack, found["stage"], found["tenant"])


def find(clients: Clients, stage: str, tenant: str) -> tuple[DeployedTenant, Storage]:
    """A tenant and its storage. Raise NotFound without its stacks, Conflict if they failed."""
    if not _SERVES.fullmatch(stack_name(stage, SERVING, tenant)):
        raise BadRequest(
            f"{tenant!r} cannot be a tenant.", hint="Names have lower-case letters and digits."
        )
    stack = _stack(clients, STORAGE, stage, tenant)
    storage = Storage(table=_output(stack, "Table"), bucket=_output(stack, "Bucket"))
    serving = _stack(clients, SERVING, stage, tenant)
    _output(serving, "Endpoint")
    return _deployed(clients, serving, stage, tenant), storage


def _deployed(clients: Clients, stack: StackTypeDef, stage: str, tenant: str) -> DeployedTenant:
    return DeployedTenant(
        tenant=tenant,
        stage=stage,
        region=clients.region,
        endpoint=_outputs(stack).get("Endpoint", ""),
        status=stack["StackStatus"],
    )


def _stack(clients: Clients, kind: str, stage: str, tenant: str) -> StackTypeDef:
    name = stack_name(stage, kind, tenant)
    try:
        with _explained():
            return clients.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except _NoSuchStack:
        raise NotFound(
            f"There is no stack {name} in {clients.region}.",
            hint=f"Deploy it with `npx cdk deploy --all -c tenant={tenant}`, or name the --region "
            "and --stage it is in; `hookline tenant list` shows what a region has.",
        ) from None


def _output(stack: StackTypeDef, name: str) -> str:
    found = _outputs(stack).get(name)
    if not found:
        raise Conflict(
            f"The stack {stack['StackName']} has no output {name}.",
            why=f"It is {stack['StackStatus']}.",
            hint="Wait for its deployment to end, or deploy it again.",
        )
    return found


def _outputs(stack: StackTypeDef) -> Mapping[str, str]:
    return {
        output["OutputKey"]: output["OutputValue"]
        for output in stack.get("Outputs", [])
        if "OutputKey" in output and "OutputValue" in output
    }


class _NoSuchStack(Exception):
    """CloudFormation has no code of its own for it."""


@contextmanager
def _explained() -> Iterator[None]:
    """Say what is wrong with a person's credentials; everything else is as for processes."""
    try:
        with translated():
            yield
    except HooklineError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError):
            _explain(cause)
        elif isinstance(cause, BotoCoreError):
            _explain_silence(cause)
        raise


def _explain(error: ClientError) -> None:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code == "ValidationError" and message.endswith("does not exist"):
        raise _NoSuchStack from error
    if code in _BAD_CREDENTIALS:
        raise Unauthenticated(
            "AWS does not take these credentials.", why=f"It answered {code}.", hint=_LOG_IN
        ) from error


def _explain_silence(error: BotoCoreError) -> None:
    if isinstance(error, _NO_CREDENTIALS):
        raise Unauthenticated("hookline has no AWS credentials.", why=f"{error}.", hint=_LOG_IN)
    if isinstance(error, EndpointConnectionError):
        raise Unavailable(
            "AWS cannot be reached.", why=f"{error}.", hint="Check the network and the region."
        ) from error


_LOG_IN = "Log in with AWS's own tools, or choose a profile of theirs with AWS_PROFILE."
