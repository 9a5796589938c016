"""What each stack has, and who may do what in it, line by line, so that a change of it is seen.

Only counts and what guards something are kept: rights, policies, network rules, and which routes
want a key. After a change that is meant, write them anew and read the difference:

    UPDATE_SNAPSHOTS=1 .venv/bin/pytest tests/stacks/test_snapshots.py
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stacks.templates import Template, listed, text

SNAPSHOTS = Path(__file__).with_name("snapshots")
STACKS = ("Platform", "Storage-acme", "Tenant-acme", "Observability-acme")
GUARDS = (
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Route",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::ElasticLoadBalancingV2::ListenerRule",
    "AWS::Lambda::Permission",
)
ASSET = re.compile(r"[0-9a-f]{64}")
POLICIES = ("PolicyDocument", "AssumeRolePolicyDocument")


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_guards_what_it_guarded(name: str, templates: dict[str, Template]) -> None:
    found = "\n".join(lines(templates[name])) + "\n"
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        path.write_text(found)
    assert found.splitlines() == path.read_text().splitlines()


def test_there_is_no_snapshot_of_what_is_not_there() -> None:
    assert sorted(path.stem for path in SNAPSHOTS.iterdir()) == sorted(STACKS)


def lines(template: Template) -> Iterator[str]:
    yield from (f"{count:3d} {kind}" for kind, count in template.counts().items())
    for name, resource in sorted(template.body["Resources"].items()):
        properties = resource.get("Properties", {})
        if resource["Type"] in GUARDS:
            yield f"{name}: {shown(properties)}"
        for place, policy in policies(properties):
            for statement in policy["Statement"]:
                yield f"{name} {place}: {said(statement)}"


def policies(value: Any) -> Iterator[tuple[str, Any]]:
    """Every policy in the properties of a resource, and what it is called there."""
    if isinstance(value, dict):
        yield from ((name, value[name]) for name in POLICIES if name in value)
    for one in value.values() if isinstance(value, dict) else listed(value):
        if isinstance(one, dict | list):
            yield from policies(one)


def said(statement: dict[str, Any]) -> str:
    """`Allow dynamodb:GetItem on Catalog.Arn if {…}`."""
    parts = [statement["Effect"], ", ".join(listed(statement["Action"]))]
    if "Principal" in statement:
        parts.append(f"by {shown(statement['Principal'])}")
    if "Resource" in statement:
        parts.append(f"on {', '.join(shown(one) for one in listed(statement['Resource']))}")
    if "Condition" in statement:
        parts.append(f"if {shown(statement['Condition'])}")
    return " ".join(parts)


def shown(value: Any) -> str:
    written = plain(value)
    line = written if isinstance(written, str) else json.dumps(written, sort_keys=True)
    return ASSET.sub("<asset>", line)


def plain(value: Any) -> Any:
    """A value with what CloudFormation would put into it written as names."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    if any(key == "Ref" or key.startswith("Fn::") for key in value):
        return text(value)
    return {key: plain(one) for key, one in value.items() if key != "Tags"}
