"""Catalog over one DynamoDB table.

The partition key is `T#<tenant>`, or `J#<tenant>` for the records of jobs, alone and whole, so that
a role's condition on leading keys is an equality and no tenant's name can be the beginning of
another's. The sort key is `<kind>#<key>`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast
from uuid import uuid4

from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.errors import answer_of, call, code_of
from hookline.core.checks import check_limit, check_record_key, check_writes, encoded, moved_on
from hookline.core.errors import Conflict, HooklineError, InvalidInput, TooManyRequests
from hookline.core.ports import MAX_PAGE, Delete, Page, Put
from hookline.core.records import Record, RecordPlace, number

R = TypeVar("R", bound=Record)
Item = dict[str, Any]
"""An item as DynamoDB's wire has it: {"pk": {"S": …}, "version": {"N": …}}."""

_LETTERS: dict[RecordPlace, str] = {"own": "T", "jobs": "J"}


class DynamoCatalog:
    """Records as JSON in items; each write is one conditional request."""

    def __init__(self, clients: Clients, table: str) -> None:
        self._clients, self._table = clients, table

    def get(self, kind: type[R], tenant: str, key: str | int) -> R | None:
        name = number(key) if isinstance(key, int) else key
        found = call(
            self._clients.dynamodb.get_item,
            TableName=self._table,
            Key=_place(kind, tenant, name),
            ConsistentRead=True,
        )
        return _decoded(kind, found["Item"]) if "Item" in found else None

    def put(self, record: R) -> R:
        write = self._put(record)
        put_item = self._clients.dynamodb.put_item
        try:
            call(put_item, **write, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        except Conflict as error:
            if not _is_ours(error, write["Item"]):
                raise moved_on(record) from error
        return record.changed(version=record.version + 1)

    def delete(self, record: Record) -> None:
        try:
            call(self._clients.dynamodb.delete_item, **self._delete(record))
        except Conflict as error:
            raise moved_on(record) from error

    def query(
        self, kind: type[R], tenant: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> Page[R]:
        check_limit(limit, MAX_PAGE)
        check_record_key(tenant, kind.kind, after)
        if after > prefix and not after.startswith(prefix):
            return Page([])  # every key with the prefix comes before
        # DynamoDB refuses a start outside of the query; before the prefix is where it begins anyway
        start = _place(kind, tenant, after) if after and after.startswith(prefix) else None
        items = self._items(_place(kind, tenant, prefix), start, limit + 1)
        shown = [_decoded(kind, item) for item in items[:limit]]
        return Page(shown, after=shown[-1].key if len(items) > limit else "")

    def transact(self, writes: Sequence[Put | Delete]) -> None:
        check_writes(writes)
        items = [
            {"Put": self._put(write.record)}
            if isinstance(write, Put)
            else {"Delete": self._delete(write.record)}
            for write in writes
        ]
        token = uuid4().hex  # makes a repeated request succeed when the first one had got through
        transact = self._clients.dynamodb.transact_write_items
        try:
            call(transact, TransactItems=cast("Any", items), ClientRequestToken=token)
        except Conflict as error:
            raise _why_canceled(writes, error) from error

    def _items(self, begin: Item, start: Item | None, most: int) -> list[Item]:
        """Up to `most` items, in as many requests as their size needs (1 MB each)."""
        items: list[Item] = []
        more: Item = {"ExclusiveStartKey": start} if start else {}
        while True:
            answer = call(
                self._clients.dynamodb.query,
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
                ExpressionAttributeValues={":pk": begin["pk"], ":sk": begin["sk"]},
                ConsistentRead=True,
                Limit=most - len(items),
                **more,
            )
            items += answer["Items"]
            if "LastEvaluatedKey" not in answer or len(items) >= most:
                return items
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _put(self, record: Record) -> Item:
        """`write` names this very write, so that a repeated request can be told from another's."""
        item = _place(type(record), record.tenant, record.key) | {
            "version": {"N": str(record.version + 1)},
            "body": {"S": encoded(record)},
            "write": {"S": uuid4().hex},
        }
        if record.version:
            condition = _if_version(record, "version = :version")
        else:
            condition = {"ConditionExpression": "attribute_not_exists(pk)"}
        return {"TableName": self._table, "Item": item, **condition}

    def _delete(self, record: Record) -> Item:
        key = _place(type(record), record.tenant, record.key)
        condition = _if_version(record, "attribute_not_exists(pk) OR version = :version")
        return {"TableName": self._table, "Key": key, **condition}


def leading_key(tenant: str, place: RecordPlace = "own") -> str:
    """The partition of what a tenant has in a place: what its roles are limited to."""
    return f"{_LETTERS[place]}#{tenant}"


def _place(kind: type[Record], tenant: str, key: str) -> Item:
    check_record_key(tenant, kind.kind, key)
    return {"pk": {"S": leading_key(tenant, kind.place)}, "sk": {"S": f"{kind.kind}#{key}"}}


def _if_version(record: Record, condition: str) -> Item:
    return {
        "ConditionExpression": condition,
        "ExpressionAttributeValues": {":version": {"N": str(record.version)}},
    }


def _decoded(kind: type[R], item: Mapping[str, Any]) -> R:
    record = kind.model_validate_json(item["body"]["S"])
    return record.changed(version=int(item["version"]["N"]))


def _is_ours(error: HooklineError, item: Item) -> bool:
    """Whether the record is in the way because an earlier try of this write got through."""
    stored = answer_of(error).get("Item", {})
    return bool(stored) and stored.get("write") == item["write"]


def _why_canceled(writes: Sequence[Put | Delete], error: HooklineError) -> HooklineError:
    """The first reason that matters; AWS gives one per write, `None` for those not at fault."""
    reasons = [reason.get("Code") for reason in answer_of(error).get("CancellationReasons", [])]
    for write, reason in zip(writes, reasons, strict=False):
        if reason in ("ConditionalCheckFailed", "TransactionConflict"):
            return moved_on(write.record)
    if "ValidationError" in reasons:
        return InvalidInput("The transaction cannot be stored.", why="It is larger than 4 MB.")
    return TooManyRequests("AWS is throttling hookline.", why=f"{code_of(error)}: {reasons}.")
