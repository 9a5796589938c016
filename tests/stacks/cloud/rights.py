"""Weighs calls against IAM statements as AWS does. What it does not know it refuses to judge."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Statement = Mapping[str, Any]
Context = tuple[tuple[str, tuple[str, ...]], ...]


class NotJudged(Exception):
    """The checker does not know an operation or an operator: neither allowed nor refused."""


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """An IAM action on an ARN. `context` has the values of its condition keys, sorted by key."""

    action: str
    resource: str
    context: Context = ()

    @classmethod
    def of(cls, action: str, resource: str, **context: Iterable[str]) -> Call:
        """`dynamodb__LeadingKeys` stands for the key dynamodb:LeadingKeys."""
        named = {key.replace("__", ":"): tuple(values) for key, values in context.items()}
        return cls(action, resource, tuple(sorted(named.items())))


def allowed(statements: Sequence[Statement], call: Call) -> bool:
    """Whether some statement allows the call and none denies it. Raise NotJudged."""
    effects = [one["Effect"] for one in statements if _applies(one, call)]
    return "Allow" in effects and "Deny" not in effects


def refused(statements: Sequence[Statement], calls: Iterable[Call]) -> list[Call]:
    """The calls that are not allowed."""
    return [call for call in calls if not allowed(statements, call)]


def like(pattern: str, value: str) -> bool:
    """IAM's wildcards: `*` is any text, `?` any one character."""
    parts = ({"*": ".*", "?": "."}.get(mark, re.escape(mark)) for mark in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _applies(statement: Statement, call: Call) -> bool:
    unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown:
        raise NotJudged(f"A statement has {sorted(unknown)}.")
    holds = _holds(statement.get("Condition", {}), dict(call.context))
    is_named = any(like(action, call.action) for action in listed(statement["Action"]))
    return (
        holds
        and is_named
        and any(like(arn, call.resource) for arn in listed(statement["Resource"]))
    )


def _holds(
    condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, Sequence[str]]
) -> bool:
    """Every operator is looked up, also after one that does not hold: none may be unknown."""
    found = [
        _operator(name)(listed(wanted), context.get(key))
        for name, keys in condition.items()
        for key, wanted in keys.items()
    ]
    return all(found)


Wanted = list[str]
Found = Sequence[str] | None
Operator = Callable[[Wanted, Found], bool]


def _any(test: Callable[[str, str], bool]) -> Operator:
    def holds(wanted: Wanted, found: Found) -> bool:
        return any(test(want, have) for want in wanted for have in found or ())

    return holds


def _every(test: Callable[[str, str], bool]) -> Operator:
    """True of no values, too: that is how ForAllValues is."""

    def holds(wanted: Wanted, found: Found) -> bool:
        return all(any(test(want, have) for want in wanted) for have in found or ())

    return holds


def _if_exists(operator: Operator) -> Operator:
    return lambda wanted, found: found is None or operator(wanted, found)


def _null(wanted: Wanted, found: Found) -> bool:
    return (found is None) == (wanted == ["true"])


def _equals(want: str, have: str) -> bool:
    return want == have


_OPERATORS: dict[str, Operator] = {
    "ArnEquals": _any(like),
    "ForAllValues:StringEquals": _every(_equals),
    "Null": _null,
    "StringEquals": _any(_equals),
    "StringLike": _any(like),
    "StringLikeIfExists": _if_exists(_any(like)),
}


def _operator(name: str) -> Operator:
    if name not in _OPERATORS:
        raise NotJudged(f"The checker does not know the condition operator {name}.")
    return _OPERATORS[name]
