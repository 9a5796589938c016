"""The rights of a role one by one, and which calls used them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.stacks.cloud.rights import Call, Statement, like, listed

LEADING_KEYS = "dynamodb:LeadingKeys"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One action on one resource; on tables, in one partition."""

    action: str
    resource: str
    partition: str = ""

    def is_used_by(self, call: Call) -> bool:
        is_there = self.action == call.action and like(self.resource, call.resource)
        keys = dict(call.context).get(LEADING_KEYS, ())
        return is_there and (not self.partition or self.partition in keys)

    @property
    def shown(self) -> str:
        """Without what CloudFormation made up."""
        return f"{self.action} on {place(self.resource)}{self.partition and f', {self.partition}'}"


def rights(statements: Sequence[Statement]) -> Iterator[Right]:
    """Every right that the statements allow."""
    for statement in statements:
        keys: list[str] = [""]
        for operator, condition in statement.get("Condition", {}).items():
            if operator != "Null" and LEADING_KEYS in condition:
                keys = listed(condition[LEADING_KEYS])
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                yield from (Right(action, resource, key) for key in keys)


def unused(statements: Sequence[Statement], calls: Iterable[Call]) -> list[Right]:
    """Rights that none of the calls needed."""
    made = list(calls)
    found = set(rights(statements))
    return sorted(right for right in found if not any(right.is_used_by(call) for call in made))


_STACK = re.compile(r"hookline-dev-(platform|(storage|tenant)-[a-z0-9]+)-", re.IGNORECASE)
_SUFFIX = re.compile(r"-[A-Za-z0-9]{12,13}(?=$|[/:])")
_HASH = re.compile(r"[A-F0-9]{8}(?=$|[/:.])|[a-f0-9]{8}(?=$|[/:.])")


def place(arn: str) -> str:
    """`queue shards`, `bucket/acme/jobs/*`: what an ARN of these stacks is of."""
    if arn == "*":
        return arn
    service, _, name = _parts(arn)
    return f"{service} {_HASH.sub('', _SUFFIX.sub('', _STACK.sub('', name)))}"


def _parts(arn: str) -> tuple[str, str, str]:
    _, _, service, _, account, name = arn.split(":", 5)
    return service, account, name
