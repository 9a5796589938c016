"""Every request is allowed by its role, and every right of a role is used by a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hookline.core.topology import FUNCTIONS, PROCESSES
from tests.stacks.cloud.actions import Actions
from tests.stacks.cloud.least import LEADING_KEYS, unused
from tests.stacks.cloud.played import NEIGHBOURS, TENANT, Played
from tests.stacks.cloud.report import LINKED, REASONED, RIGHTS, TOLD, reason, rights_page
from tests.stacks.cloud.rights import Call, NotJudged, Statement, allowed, listed, refused

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# These know no resource; a condition limits them to the cluster, which tenants share.
LISTS = {"ecs:ListServices", "ecs:ListTasks"}
ELSEWHERE = "arn:aws:none:::nothing"


def calls(played: Played) -> Iterator[tuple[str, Call]]:
    """Each call of each principal of the tenant, once."""
    for principal in played.principals():
        for call in sorted(played.of(principal)):
            yield principal, call


def test_every_request_is_allowed(played: Played) -> None:
    for principal, statements in played.rights.items():
        assert refused(statements, played.of(principal)) == [], principal
    assert len(list(calls(played))) > 150


def test_every_right_is_used_or_there_is_a_reason(played: Played) -> None:
    without_reason = [
        f"{principal}: {right.shown}"
        for principal in played.principals()
        for right in unused(played.rights[principal], played.of(principal))
        if not reason(right, played.rights[principal])
    ]
    assert without_reason == []


def test_no_reason_is_given_for_what_is_used(played: Played) -> None:
    """But for the log of tasks, which the proofs write as ECS's agent does."""
    without_use = {
        right.action
        for principal in played.principals()
        for right in unused(played.rights[principal], played.of(principal))
    }
    assert without_use == set(REASONED)


def test_every_function_and_process_has_run(played: Played) -> None:
    """What a new one does belongs into tests/stacks/cloud: story.py, changes.py or hardship.py."""
    wanted = {one.name for one in FUNCTIONS} | {one.name for one in PROCESSES}
    assert wanted - played.ran == set(), "Nothing in tests/stacks/cloud calls these."


def test_every_route_has_been_asked_and_answered(played: Played) -> None:
    """A new route is to be asked in tests/stacks/cloud, or its rights are not proven."""
    wanted = {route for function in FUNCTIONS for route in function.routes}
    assert wanted - played.asked == set(), "Nothing in tests/stacks/cloud asks these."


def test_without_its_action_a_request_is_refused(played: Played) -> None:
    for principal, call in calls(played):
        assert not allowed(without(played.rights[principal], call.action), call), call


def test_without_its_resource_a_request_is_refused(played: Played) -> None:
    for principal, call in calls(played):
        moved = [{**one, "Resource": ELSEWHERE} for one in played.rights[principal]]
        assert not allowed(moved, call), call


def test_without_what_its_condition_asks_for_a_request_is_refused(played: Played) -> None:
    """But for S3's prefix: a request for one object has none."""
    asked = [
        (principal, replace(call, context=()))
        for principal, call in calls(played)
        if call.context and call.action != "s3:ListBucket"
    ]
    assert {call.action.partition(":")[0] for _, call in asked} == {"dynamodb", "ecs", "iam"}
    for principal, call in asked:
        assert not allowed(played.rights[principal], call), call


@pytest.mark.parametrize("other", NEIGHBOURS)
def test_what_belongs_to_another_tenant_is_refused(played: Played, other: str) -> None:
    """The same requests, for the other's table, bucket, queues, services, tasks, logs and roles."""
    names = renamed(played, other)
    shared = set()
    for principal, call in calls(played):
        there = moved(call, names)
        if there == call:
            shared.add(call.action if call.resource == "*" else call.resource.partition("/")[0])
        else:
            assert not allowed(played.rights[principal], there), (principal, there)
    buckets = {f"arn:aws:s3:::{name}" for name in LINKED[TENANT]}
    assert shared == LISTS | buckets | set(TOLD[TENANT])


@pytest.mark.parametrize("other", NEIGHBOURS)
def test_keys_of_another_tenant_are_refused_in_ones_own_places(played: Played, other: str) -> None:
    own = {f"/{TENANT}/": f"/{other}/", **partitions(other)}
    tried = 0
    for principal, call in calls(played):
        there = moved(call, own)
        if there != call:
            tried += 1
            assert not allowed(played.rights[principal], there), (principal, there)
    assert tried > 100


@pytest.mark.parametrize("other", NEIGHBOURS)
def test_a_transaction_that_touches_a_strangers_key_is_refused(played: Played, other: str) -> None:
    tried = 0
    for principal, call in calls(played):
        keys = dict(call.context).get(LEADING_KEYS)
        if keys:
            tried += 1
            mixed = replace(call, context=((LEADING_KEYS, (*keys, f"T#{other}")),))
            assert not allowed(played.rights[principal], mixed), (principal, mixed)
    assert tried > 20


@pytest.mark.parametrize("other", NEIGHBOURS)
def test_only_the_tenant_of_a_linked_bucket_reads_it(played: Played, other: str) -> None:
    reads = [(who, call) for who, call in calls(played) if ":::photos" in call.resource]
    assert reads
    for principal, call in reads:
        assert not allowed(played.rights[principal.replace(TENANT, other)], call), call


@pytest.mark.parametrize("other", NEIGHBOURS)
def test_only_the_tenant_of_a_topic_tells_it(played: Played, other: str) -> None:
    told = [(who, call) for who, call in calls(played) if call.resource in TOLD[TENANT]]
    assert {call.action for _, call in told} == {"sns:Publish"}
    for principal, call in told:
        assert not allowed(played.rights[principal.replace(TENANT, other)], call), call


def test_what_the_checker_does_not_know_it_does_not_judge() -> None:
    unknown = Actions(lambda _: [], lambda _: {})
    for operation in ("dynamodb:Scan", "s3:CopyObject", "ecs:RunTask", "ec2:RunInstances"):
        with pytest.raises(NotJudged):
            unknown.needed(operation, {"TableName": "t", "Bucket": "b", "cluster": "c"})
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    for extra in ({"Condition": {"NumericEquals": {"s3:x": "1"}}}, {"NotResource": "*"}):
        with pytest.raises(NotJudged):
            allowed([{**statement, **extra}], Call("s3:GetObject", "arn:aws:s3:::b/k"))


def test_a_denial_wins() -> None:
    call = Call("s3:GetObject", "arn:aws:s3:::b/k")
    statement = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::b/*"}
    assert allowed([statement], call)
    assert not allowed([statement, {**statement, "Effect": "Deny"}], call)


def test_for_all_values_is_true_of_none_unless_null_forbids_it() -> None:
    call = Call("dynamodb:GetItem", "t")
    keys = {"ForAllValues:StringEquals": {LEADING_KEYS: ["T#a"]}}
    statement = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "t"}
    assert allowed([{**statement, "Condition": keys}], call)
    null = {"Null": {LEADING_KEYS: "false"}}
    assert not allowed([{**statement, "Condition": keys | null}], call)


def test_the_page_of_rights_is_current(played: Played) -> None:
    again = "Write it anew: python -m tests.stacks.cloud.report"
    assert RIGHTS.read_text() == rights_page(played), again


def without(statements: Sequence[Statement], action: str) -> list[dict[str, Any]]:
    return [
        {**one, "Action": [name for name in listed(one["Action"]) if name != action]}
        for one in statements
    ]


def partitions(other: str) -> dict[str, str]:
    """Of the tenant's records, at another's: its jobs have one of their own."""
    return {f"{kind}#{TENANT}": f"{kind}#{other}" for kind in "TJ"}


def renamed(played: Played, other: str) -> dict[str, str]:
    """What everything of the tenant is called at another's."""
    names = {
        f"{TENANT}--": f"{other}--",
        f"/{TENANT}/": f"/{other}/",
        **partitions(other),
        TENANT: other,
    }
    for kind in ("Storage", "Tenant"):
        mine, theirs = (played.ids[f"{kind}-{name}"] for name in (TENANT, other))
        names |= dict(_physical(mine, theirs))
    return names


def _physical(mine: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for logical, name in mine.items():
        if name and logical in theirs:
            yield name.rpartition("/")[2], theirs[logical].rpartition("/")[2]


def moved(call: Call, names: Mapping[str, str]) -> Call:
    """The longest names first; a whole value may be the tenant's name."""

    def there(text: str) -> str:
        if text in names:
            return names[text]
        for name in sorted(names, key=len, reverse=True):
            if name != TENANT:
                text = text.replace(name, names[name])
        return text

    context = tuple((key, tuple(map(there, values))) for key, values in call.context)
    return replace(call, resource=there(call.resource), context=context)
