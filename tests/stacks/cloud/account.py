"""An AWS account with the synthesized stacks in it, played by moto."""

from __future__ import annotations

import ast
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session
from moto import mock_aws
from moto.core.models import botocore_stubber

from hookline.core.topology import FUNCTIONS, PROCESSES
from tests.stacks.cloud import deploying
from tests.stacks.cloud.actions import Actions
from tests.stacks.cloud.deploying import ACCOUNT, REGION
from tests.stacks.cloud.ecs import Ecs
from tests.stacks.cloud.recording import Recorder
from tests.stacks.cloud.rights import Statement
from tests.unit.adapters.aws.world import MOTO, one_at_a_time

OPERATOR = "operator"
EXECUTION = "execution"
STAGE = "Hookline-dev"


@dataclass
class Clock:
    """The time that queues go by. It passes when a test says so, however slow the machine is.

    It never stands still: moto ends a lease a moment after its time.
    """

    began_at: float = field(default_factory=time.time)
    ahead_s: float = 0.0
    ticks: Iterator[int] = field(default_factory=count)

    def __call__(self) -> float:
        return self.began_at + self.ahead_s + next(self.ticks) / 1e6

    def millis(self) -> float:
        return self() * 1000


@dataclass(frozen=True)
class Stack:
    """A stack as it was made. `ids` are the physical names by logical id."""

    name: str
    template: dict[str, Any]
    ids: Mapping[str, str]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Properties by logical id."""
        found = self.template["Resources"].items()
        return {name: one.get("Properties", {}) for name, one in found if one["Type"] == kind}

    def id_of(self, begin: str, kind: str) -> str:
        """The physical name of the one resource of a type whose logical id begins so."""
        (name,) = [name for name in self.of_type(kind) if name.startswith(begin)]
        return self.ids[name]


@dataclass
class Account:
    """`left_out`: the types that moto could not make. `operator` has every right."""

    assembly: Path
    operator: Session
    clock: Clock
    stacks: dict[str, Stack] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    ecs: Ecs = field(default_factory=Ecs)
    clients: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def recorder(self) -> Recorder:
        return Recorder(OPERATOR, Actions(self.roles_of, self.ecs.tags_of).needed)

    def deploy(self, name: str) -> None:
        """Create a stack (`Tenant-acme`)."""
        full = f"{STAGE}-{name}"
        self.left_out |= deploying.create(self.operator, self.assembly, full)
        template = json.loads((self.assembly / f"{full}.template.json").read_text())
        self.stacks[name] = Stack(full, template, deploying.physical_ids(self.operator, full))

    def client(self, service: str) -> Any:
        """The operator's."""
        if service not in self.clients:
            self.clients[service] = deploying.client_of(self.operator, service)
        return self.clients[service]

    def tenants(self) -> list[str]:
        return [name.partition("-")[2] for name in self.stacks if name.startswith("Tenant-")]

    def rights(self) -> dict[str, list[Statement]]:
        """The statements of every role of the tenants' stacks, by principal."""
        return {
            f"{tenant}.{name}": self._statements(role)
            for tenant in self.tenants()
            for name, role in self.roles(tenant).items()
        }

    def roles(self, tenant: str) -> dict[str, str]:
        """The names of a tenant's roles by what has them."""
        stack = self.stacks[f"Tenant-{tenant}"]
        begins = {one.name: f"{one.name.title()}Role" for one in FUNCTIONS}
        begins |= {one.name: f"Tasks{one.name.title()}Role" for one in PROCESSES}
        begins[EXECUTION] = "TasksExecution"
        found = {name: stack.id_of(begin, "AWS::IAM::Role") for name, begin in begins.items()}
        assert len(found) == len(stack.of_type("AWS::IAM::Role"))
        return found

    def roles_of(self, definition: str) -> list[str]:
        """moto forgets which roles a task definition has; the template does not."""
        for stack in self.stacks.values():
            for name, made in stack.of_type("AWS::ECS::TaskDefinition").items():
                if stack.ids[name] == definition:
                    both = (made["TaskRoleArn"], made["ExecutionRoleArn"])
                    return [_role_arn(stack.ids[one["Fn::GetAtt"][0]]) for one in both]
        raise AssertionError(f"No stack has the task definition {definition}.")

    def _statements(self, role: str) -> list[Statement]:
        iam = self.client("iam")
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        found = [iam.get_role_policy(RoleName=role, PolicyName=name) for name in names]
        assert not iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        return [
            {**statement, "Resource": [_mended(arn) for arn in _listed(statement["Resource"])]}
            for policy in found
            for statement in _document(policy["PolicyDocument"])["Statement"]
        ]


def session_of(principal: str) -> Session:
    """With the access key that the principal is known by."""
    session = Session()
    session.set_credentials(principal, "secret")
    session.set_config_variable("region", REGION)
    return session


@contextmanager
def account(assembly: Path, tenants: Sequence[str]) -> Iterator[Account]:
    """The platform and the stacks of these tenants."""
    clock = Clock()
    with ExitStack() as exits:
        exits.enter_context(mock_aws(config={"lambda": {"use_docker": False}}))
        patch = exits.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(botocore_stubber, "process_request", one_at_a_time(MOTO))
        patch.setattr("moto.sqs.models.unix_time", clock)
        patch.setattr("moto.sqs.models.unix_time_millis", clock.millis)
        found = Account(assembly, session_of(OPERATOR), clock)
        deploying.prepare(found.operator)
        found.deploy("Platform")
        for tenant in tenants:
            found.deploy(f"Storage-{tenant}")
            found.deploy(f"Tenant-{tenant}")
        _run_services(found)
        exits.enter_context(found.recorder.listening())
        exits.enter_context(found.ecs.answering())
        yield found


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Exactly these variables, and where programs are."""
    kept = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update({"PATH": kept["PATH"], **values})
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def credentials(principal: str) -> dict[str, str]:
    """What AWS puts into the environment of what runs as a principal."""
    return {
        "AWS_ACCESS_KEY_ID": principal,
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


def _run_services(found: Account) -> None:
    """ECS starts the services of the stacks."""
    ecs = found.client("ecs")
    cluster = found.stacks["Platform"].id_of("Cluster", "AWS::ECS::Cluster")
    found.ecs.arn, found.ecs.cluster = f"arn:aws:ecs:{REGION}:{ACCOUNT}", cluster
    for tenant in found.tenants():
        stack = found.stacks[f"Tenant-{tenant}"]
        arns = [stack.ids[name] for name in stack.of_type("AWS::ECS::Service")]
        for service in ecs.describe_services(cluster=cluster, services=arns)["services"]:
            found.ecs.adopt(service, {"hookline:tenant": tenant})


def _document(policy: Any) -> dict[str, Any]:
    """moto answers with what Python calls the document when CloudFormation made it."""
    parsed: dict[str, Any] = ast.literal_eval(policy) if isinstance(policy, str) else policy
    return parsed


def _mended(arn: str) -> str:
    """CloudFormation's ARN of a log group ends with `:*`; moto's does not."""
    return f"{arn}:*" if ":log-group:" in arn and not arn.endswith(":*") else arn


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _role_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"
