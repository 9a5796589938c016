"""What moto does not do as DynamoDB does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from botocore.stub import ANY, Stubber

from hookline.adapters.aws.catalog import DynamoCatalog, leading_key
from hookline.adapters.aws.clients import Clients
from hookline.core.errors import (
    Conflict,
    HooklineError,
    InvalidInput,
    TooManyRequests,
    Unavailable,
)
from hookline.core.ports import Delete, Put
from hookline.core.records import Job, Record, Shard
from tests.fakes import FakeClock
from tests.unit.adapters.aws.world import TABLE, fresh_clients, make_table, moto_clients


class Note(Record):
    kind: ClassVar[str] = "note"
    name: str
    text: str = ""

    @property
    def key(self) -> str:
        return self.name


NOTE = Note(tenant="t", name="a")


@pytest.fixture
def clients() -> Clients:
    return fresh_clients()


@pytest.fixture
def stub(clients: Clients) -> Iterator[Stubber]:
    with Stubber(clients.dynamodb) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def catalog(clients: Clients) -> DynamoCatalog:
    return DynamoCatalog(clients, TABLE)


def row(name: str, version: int = 1) -> dict[str, Any]:
    body = Note(tenant="t", name=name).model_dump_json(exclude={"version"})
    return {
        "pk": {"S": "T#t"},
        "sk": {"S": f"note#{name}"},
        "body": {"S": body},
        "version": {"N": str(version)},
    }


def condition_failed(stub: Stubber, item: dict[str, Any] | None = None) -> None:
    stub.add_client_error(
        "put_item",
        "ConditionalCheckFailedException",
        modeled_fields={"Item": item} if item else None,
    )


def canceled(stub: Stubber, *reasons: str) -> None:
    stub.add_client_error(
        "transact_write_items",
        "TransactionCanceledException",
        modeled_fields={"CancellationReasons": [{"Code": reason} for reason in reasons]},
    )


def test_every_item_of_a_tenant_has_its_leading_key_alone() -> None:
    with moto_clients(FakeClock()) as clients:
        make_table(clients)
        catalog = DynamoCatalog(clients, TABLE)
        catalog.put(NOTE)
        catalog.transact([Put(Note(tenant="t", name="b")), Put(Note(tenant="t2", name="c"))])
        stored = clients.dynamodb.scan(TableName=TABLE)["Items"]

    assert sorted((item["pk"]["S"], item["sk"]["S"]) for item in stored) == [
        ("T#t", "note#a"),
        ("T#t", "note#b"),
        ("T#t2", "note#c"),
    ]
    assert leading_key("t") == "T#t"


@pytest.mark.parametrize("kind", [Job, Shard])
def test_the_records_of_jobs_are_apart_from_what_else_a_tenant_has(
    catalog: DynamoCatalog, stub: Stubber, kind: type[Record]
) -> None:
    key = {"pk": {"S": leading_key("t", "jobs")}, "sk": {"S": f"{kind.kind}#1"}}
    stub.add_response("get_item", {}, {"TableName": TABLE, "Key": key, "ConsistentRead": True})

    assert catalog.get(kind, "t", "1") is None
    assert leading_key("t", "jobs") == "J#t"


def test_reads_are_consistent(catalog: DynamoCatalog, stub: Stubber) -> None:
    key = {"pk": {"S": "T#t"}, "sk": {"S": "note#a"}}
    stub.add_response(
        "get_item",
        {"Item": row("a", 3)},
        {"TableName": TABLE, "Key": key, "ConsistentRead": True},
    )

    assert catalog.get(Note, "t", "a") == NOTE.changed(version=3)


def test_a_write_whose_first_try_got_through_unheard_is_a_success() -> None:
    with moto_clients(FakeClock()) as clients:
        make_table(clients)
        catalog = DynamoCatalog(clients, TABLE)
        with first_answers_lost(clients.dynamodb.meta.events):
            stored = catalog.put(NOTE)
            changed = catalog.put(stored.changed(text="x"))

        assert catalog.get(Note, "t", "a") == changed == NOTE.changed(text="x", version=2)


@contextmanager
def first_answers_lost(hooks: Any) -> Iterator[None]:
    """As a network may lose them; botocore then sends the request again."""

    def again(attempts: int, **_: object) -> float | None:
        return 0.0 if attempts == 1 else None

    hooks.register("needs-retry.dynamodb.PutItem", again)
    yield
    hooks.unregister("needs-retry.dynamodb.PutItem", again)


def test_the_same_content_from_someone_else_is_a_conflict(
    catalog: DynamoCatalog, stub: Stubber
) -> None:
    condition_failed(stub, row("a") | {"write": {"S": "theirs"}})

    with pytest.raises(Conflict, match="exists already"):
        catalog.put(NOTE)


def test_a_condition_that_failed_on_an_absent_record_is_a_conflict(
    catalog: DynamoCatalog, stub: Stubber
) -> None:
    condition_failed(stub)

    with pytest.raises(Conflict, match="changed by someone else"):
        catalog.put(NOTE.changed(version=1))


def test_a_put_that_meets_a_transaction_is_a_conflict(
    catalog: DynamoCatalog, stub: Stubber
) -> None:
    stub.add_client_error("put_item", "TransactionConflictException")

    with pytest.raises(Conflict):
        catalog.put(NOTE)


@pytest.mark.parametrize(
    ("reasons", "kind", "sentence"),
    [
        (("None", "ConditionalCheckFailed"), Conflict, "note b was changed"),
        (("TransactionConflict", "None"), Conflict, "note a exists"),
        (("ThrottlingError", "ConditionalCheckFailed"), Conflict, "note b"),
        (("None", "ThrottlingError"), TooManyRequests, "throttling"),
        (("ProvisionedThroughputExceeded", "None"), TooManyRequests, "throttling"),
        (("ValidationError", "None"), InvalidInput, "4 MB"),
    ],
)
def test_a_canceled_transaction_says_why(
    catalog: DynamoCatalog,
    stub: Stubber,
    reasons: tuple[str, ...],
    kind: type[HooklineError],
    sentence: str,
) -> None:
    canceled(stub, *reasons)

    with pytest.raises(kind, match=sentence):
        catalog.transact([Put(NOTE), Delete(Note(tenant="t", name="b", version=2))])


def test_a_transaction_can_be_repeated_without_harm(catalog: DynamoCatalog, stub: Stubber) -> None:
    tokens: list[str] = []
    stub.add_response("transact_write_items", {}, {"TransactItems": ANY, "ClientRequestToken": ANY})
    stub.client.meta.events.register(
        "before-parameter-build.dynamodb.TransactWriteItems",
        lambda params, **_: tokens.append(params["ClientRequestToken"]),
    )
    catalog.transact([Put(NOTE)])

    assert len(tokens[0]) == 32


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ThrottlingException", 400, TooManyRequests),
        ("ProvisionedThroughputExceededException", 400, TooManyRequests),
        ("InternalServerError", 500, Unavailable),
        ("ValidationException", 400, InvalidInput),
    ],
)
def test_what_dynamodb_refuses_is_ours(
    catalog: DynamoCatalog, stub: Stubber, code: str, status: int, kind: type[HooklineError]
) -> None:
    stub.add_client_error("get_item", code, http_status_code=status)

    with pytest.raises(kind):
        catalog.get(Note, "t", "a")


def query(start: str = "", limit: int = 3) -> dict[str, Any]:
    place = {"pk": {"S": "T#t"}, "sk": {"S": f"note#{start}"}}
    return {
        "TableName": TABLE,
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
        "ExpressionAttributeValues": {":pk": {"S": "T#t"}, ":sk": {"S": "note#a/"}},
        "ConsistentRead": True,
        "Limit": limit,
        **({"ExclusiveStartKey": place} if start else {}),
    }


def test_a_page_is_filled_over_answers_that_hold_less(
    catalog: DynamoCatalog, stub: Stubber
) -> None:
    last = {"pk": {"S": "T#t"}, "sk": {"S": "note#a/1"}}
    stub.add_response("query", {"Items": [row("a/1")], "LastEvaluatedKey": last}, query())
    stub.add_response("query", {"Items": [], "LastEvaluatedKey": last}, query("a/1", 2))
    stub.add_response("query", {"Items": [row("a/2")]}, query("a/1", 2))

    found = catalog.query(Note, "t", prefix="a/", limit=2)
    assert ([note.key for note in found.items], found.after) == (["a/1", "a/2"], "")


@pytest.mark.parametrize("after", ["0", "a", "A/9"])
def test_dynamodb_is_never_asked_to_start_before_the_query(
    catalog: DynamoCatalog, stub: Stubber, after: str
) -> None:
    """It would answer: the provided starting key is outside query boundaries."""
    stub.add_response("query", {"Items": [row("a/1")]}, query())

    assert len(catalog.query(Note, "t", prefix="a/", after=after, limit=2).items) == 1


@pytest.mark.parametrize("after", ["b", "a0"])
def test_dynamodb_is_never_asked_to_start_after_the_query(
    catalog: DynamoCatalog, stub: Stubber, after: str
) -> None:
    del stub

    assert list(catalog.query(Note, "t", prefix="a/", after=after).items) == []
