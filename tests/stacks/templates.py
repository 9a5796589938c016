"""Reads CloudFormation templates."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Statement:
    """One of a role's rights. `who` is the logical id of the role or policy."""

    who: str
    body: dict[str, Any]

    @property
    def actions(self) -> list[str]:
        return listed(self.body["Action"])

    @property
    def resources(self) -> list[str]:
        return [text(resource) for resource in listed(self.body["Resource"])]

    @property
    def condition(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.body.get("Condition", {})
        return found


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    body: dict[str, Any]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Properties by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.body["Resources"].items()
            if resource["Type"] == kind
        }

    def counts(self) -> dict[str, int]:
        return dict(sorted(Counter(r["Type"] for r in self.body["Resources"].values()).items()))

    def statements(self) -> Iterator[Statement]:
        """The rights of every role."""
        for name, role in self.of_type("AWS::IAM::Role").items():
            for policy in role.get("Policies", []):
                for body in policy["PolicyDocument"]["Statement"]:
                    yield Statement(name, body)
        for name, policy in self.of_type("AWS::IAM::Policy").items():
            for body in policy["PolicyDocument"]["Statement"]:
                yield Statement(name, body)

    def rights_of(self, role: str) -> list[Statement]:
        """Of the one role whose logical id begins with `role`."""
        found = [one for one in self.statements() if one.who.startswith(role)]
        assert len({one.who for one in found}) <= 1
        return found

    def functions(self) -> dict[str, dict[str, Any]]:
        """By their names in the topology."""
        return {
            name.partition("Handler")[0].lower(): properties
            for name, properties in self.of_type("AWS::Lambda::Function").items()
        }


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str:
    """A value with CloudFormation's functions written out: names stand for what they refer to."""
    if isinstance(value, str):
        return value
    (function, argument), *rest = value.items()
    assert not rest
    if function == "Fn::Join":
        return str(argument[0]).join(text(part) for part in argument[1])
    if function == "Fn::GetAtt":
        return ".".join(argument)
    assert function in ("Ref", "Fn::ImportValue"), json.dumps(value)
    return text(argument)
