"""What every catalog must do. Each test runs once per adapter."""

from __future__ import annotations

from typing import ClassVar

import pytest

from hookline.core.errors import Conflict, InvalidInput
from hookline.core.ports import (
    MAX_PAGE,
    MAX_RECORD_BYTES,
    MAX_RECORD_KEY_BYTES,
    MAX_TENANT_BYTES,
    MAX_TRANSACTION_BYTES,
    MAX_WRITES,
    Catalog,
    Delete,
    Put,
)
from hookline.core.records import NumberedRecord, Record


class Note(Record):
    kind: ClassVar[str] = "note"
    name: str
    text: str = ""

    @property
    def key(self) -> str:
        return self.name


class NoteOfTomorrow(Note):
    colour: str = "red"


class Page(NumberedRecord):
    kind: ClassVar[str] = "page"


def note(name: str, text: str = "", tenant: str = "t") -> Note:
    return Note(tenant=tenant, name=name, text=text)


def keys(catalog: Catalog, prefix: str = "", after: str = "", limit: int = 100) -> list[str]:
    found = catalog.query(Note, "t", prefix=prefix, after=after, limit=limit)
    return [record.key for record in found.items]


def test_a_stored_record_reads_back_with_its_version(catalog: Catalog) -> None:
    stored = catalog.put(note("a", "text"))

    assert catalog.get(Note, "t", "a") == stored
    assert (stored.text, stored.version) == ("text", 1)


def test_what_was_never_stored_is_none(catalog: Catalog) -> None:
    assert catalog.get(Note, "t", "a") is None


def test_an_integer_finds_a_numbered_record(catalog: Catalog) -> None:
    stored = catalog.put(Page(tenant="t", id=23))

    assert catalog.get(Page, "t", 23) == stored


def test_records_are_apart_by_tenant_and_by_kind(catalog: Catalog) -> None:
    catalog.put(note("0000000001"))

    assert catalog.get(Note, "other", "0000000001") is None
    assert catalog.get(Page, "t", 1) is None
    assert catalog.query(Note, "other").items == []


def test_a_second_create_is_a_conflict_and_changes_nothing(catalog: Catalog) -> None:
    catalog.put(note("a", "first"))

    with pytest.raises(Conflict, match="exists already"):
        catalog.put(note("a", "second"))
    assert catalog.get(Note, "t", "a") == note("a", "first").changed(version=1)


def test_a_read_record_can_be_replaced_again_and_again(catalog: Catalog) -> None:
    stored = catalog.put(note("a"))
    for text in ("one", "two"):
        stored = catalog.put(stored.changed(text=text))

    assert catalog.get(Note, "t", "a") == stored
    assert (stored.text, stored.version) == ("two", 3)


def test_a_stale_copy_cannot_overwrite_a_newer_one(catalog: Catalog) -> None:
    stale = catalog.put(note("a"))
    catalog.put(stale.changed(text="newer"))

    with pytest.raises(Conflict, match="changed by someone else"):
        catalog.put(stale.changed(text="stale"))
    found = catalog.get(Note, "t", "a")
    assert found is not None
    assert found.text == "newer"


def test_replacing_a_deleted_record_is_a_conflict(catalog: Catalog) -> None:
    stored = catalog.put(note("a"))
    catalog.delete(stored)

    with pytest.raises(Conflict):
        catalog.put(stored.changed(text="back"))
    assert catalog.get(Note, "t", "a") is None


def test_deleting_what_is_absent_is_not_an_error(catalog: Catalog) -> None:
    stored = catalog.put(note("a"))
    catalog.delete(stored)
    catalog.delete(stored)
    catalog.delete(note("never"))

    assert catalog.get(Note, "t", "a") is None


@pytest.mark.parametrize("version", [0, 1])
def test_deleting_a_record_that_moved_on_is_a_conflict(catalog: Catalog, version: int) -> None:
    catalog.put(catalog.put(note("a")).changed(text="newer"))

    with pytest.raises(Conflict):
        catalog.delete(note("a").changed(version=version))
    assert catalog.get(Note, "t", "a") is not None


def test_a_query_answers_in_byte_order_of_the_keys(catalog: Catalog) -> None:
    names = ["a", "B", "a/b", "a-b", "ab", "é", "z", "\U0001f600", "\uffee", "10", "9"]
    for name in names:
        catalog.put(note(name))

    assert keys(catalog) == sorted(names, key=str.encode)


def test_a_query_answers_only_keys_with_the_prefix(catalog: Catalog) -> None:
    for name in ["a", "a/1", "a/2", "a0", "A/1", "b"]:
        catalog.put(note(name))

    assert keys(catalog, prefix="a/") == ["a/1", "a/2"]
    assert keys(catalog, prefix="a/", after="a/1") == ["a/2"]
    assert keys(catalog, prefix="a/", after="0") == ["a/1", "a/2"]
    assert keys(catalog, prefix="a/", after="b") == []


@pytest.mark.parametrize("wildcard", ["%", "_", "*", "[a]"])
def test_a_prefix_has_no_wildcards(catalog: Catalog, wildcard: str) -> None:
    catalog.put(note("a"))

    assert keys(catalog, prefix=wildcard) == []


def test_pages_follow_each_other_without_gap_or_repeat(catalog: Catalog) -> None:
    names = [f"n{index:02d}" for index in range(7)]
    for name in names:
        catalog.put(note(name))
    seen, after, pages = [], "", 0
    while True:
        page = catalog.query(Note, "t", prefix="n", after=after, limit=3)
        seen += [record.key for record in page.items]
        pages, after = pages + 1, page.after
        if not after:
            break

    assert (seen, pages) == (names, 3)


def test_a_full_last_page_says_that_there_is_no_more(catalog: Catalog) -> None:
    for name in ["a", "b", "c"]:
        catalog.put(note(name))

    assert catalog.query(Note, "t", limit=3).after == ""
    assert catalog.query(Note, "t", prefix="b", limit=1).after == ""


def test_query_returns_versions_that_can_be_written_back(catalog: Catalog) -> None:
    catalog.put(catalog.put(note("a")).changed(text="x"))
    [found] = catalog.query(Note, "t").items

    assert catalog.put(found.changed(text="y")).version == 3


@pytest.mark.parametrize("limit", [0, -1, MAX_PAGE + 1])
def test_the_page_limit_is_the_same_everywhere(catalog: Catalog, limit: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 1000"):
        catalog.query(Note, "t", limit=limit)


def test_a_transaction_makes_all_its_writes(catalog: Catalog) -> None:
    old, gone = catalog.put(note("old")), catalog.put(note("gone"))
    catalog.transact([Put(note("new")), Put(old.changed(text="x")), Delete(gone)])

    assert keys(catalog) == ["new", "old"]
    found = catalog.get(Note, "t", "old")
    assert found is not None
    assert (found.text, found.version) == ("x", 2)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_transaction_with_one_stale_write_makes_none(catalog: Catalog, place: int) -> None:
    stale = catalog.put(note("stale"))
    catalog.put(stale.changed(text="newer"))
    kept = catalog.put(note("kept"))
    writes: list[Put | Delete] = [Put(note("new")), Delete(kept)]
    writes.insert(place, Put(stale.changed(text="lost")))

    with pytest.raises(Conflict):
        catalog.transact(writes)
    assert keys(catalog) == ["kept", "stale"]


def test_a_transaction_with_a_stale_delete_makes_no_write(catalog: Catalog) -> None:
    stale = catalog.put(note("stale"))
    catalog.put(stale.changed(text="newer"))

    with pytest.raises(Conflict):
        catalog.transact([Put(note("new")), Delete(stale)])
    assert keys(catalog) == ["stale"]


def test_a_transaction_may_delete_what_is_absent(catalog: Catalog) -> None:
    gone = catalog.put(note("gone"))
    catalog.delete(gone)
    catalog.transact([Put(note("new")), Delete(gone)])

    assert keys(catalog) == ["new"]


def test_a_transaction_spans_kinds_and_tenants(catalog: Catalog) -> None:
    catalog.transact([Put(note("a")), Put(note("a", tenant="u")), Put(Page(tenant="t", id=1))])

    assert catalog.get(Note, "u", "a") is not None
    assert catalog.get(Page, "t", 1) is not None


def test_a_transaction_holds_the_most_writes_but_not_more(catalog: Catalog) -> None:
    catalog.transact([Put(note(f"{index:03d}")) for index in range(MAX_WRITES)])

    assert len(keys(catalog)) == MAX_WRITES
    with pytest.raises(InvalidInput, match="1 to 100 writes"):
        catalog.transact([Put(note(f"x{index}")) for index in range(MAX_WRITES + 1)])
    with pytest.raises(InvalidInput, match="1 to 100 writes"):
        catalog.transact([])


def test_a_transaction_may_touch_each_record_once(catalog: Catalog) -> None:
    with pytest.raises(InvalidInput, match="once"):
        catalog.transact([Put(note("a")), Delete(note("a"))])


def test_a_record_that_some_store_cannot_hold_is_refused(catalog: Catalog) -> None:
    with pytest.raises(InvalidInput, match="too large"):
        catalog.put(note("a", "x" * MAX_RECORD_BYTES))
    with pytest.raises(InvalidInput, match="too large"):
        catalog.transact([Put(note("b")), Put(note("a", "x" * MAX_RECORD_BYTES))])
    assert keys(catalog) == []


LONGEST = MAX_RECORD_KEY_BYTES - len("note#")


@pytest.mark.parametrize("name", ["x" * LONGEST, "é" * (LONGEST // 2) + "x"])
def test_the_longest_key_is_stored_and_found(catalog: Catalog, name: str) -> None:
    catalog.put(note(name))

    assert catalog.get(Note, "t", name) is not None
    assert keys(catalog, prefix=name) == [name]
    catalog.transact([Delete(note(name).changed(version=1))])
    assert keys(catalog) == []


@pytest.mark.parametrize("name", ["x" * (LONGEST + 1), "é" * (LONGEST // 2 + 1)])
def test_a_key_that_some_store_cannot_hold_is_refused(catalog: Catalog, name: str) -> None:
    for call in (
        lambda: catalog.put(note(name)),
        lambda: catalog.get(Note, "t", name),
        lambda: catalog.delete(note(name)),
        lambda: catalog.query(Note, "t", prefix=name),
        lambda: catalog.query(Note, "t", after=name),
        lambda: catalog.transact([Put(note("a")), Put(note(name))]),
        lambda: catalog.transact([Put(note("a")), Delete(note(name))]),
    ):
        with pytest.raises(InvalidInput, match=r"too long a key.*at most 1024"):
            call()
    assert keys(catalog) == []


def test_a_tenant_that_some_store_cannot_hold_is_refused(catalog: Catalog) -> None:
    catalog.put(note("a", tenant="t" * MAX_TENANT_BYTES))

    for call in (
        lambda: catalog.put(note("a", tenant="t" * (MAX_TENANT_BYTES + 1))),
        lambda: catalog.query(Note, "t" * (MAX_TENANT_BYTES + 1)),
    ):
        with pytest.raises(InvalidInput, match="too long a name"):
            call()


def test_a_key_that_is_no_text_is_refused(catalog: Catalog) -> None:
    for call in (
        lambda: catalog.get(Note, "t", "\ud800"),
        lambda: catalog.query(Note, "t", prefix="\ud800"),
    ):
        with pytest.raises(InvalidInput, match="not text"):
            call()


def test_a_transaction_that_some_store_cannot_hold_is_refused(catalog: Catalog) -> None:
    text = "x" * (MAX_RECORD_BYTES - 1000)
    most = MAX_TRANSACTION_BYTES // MAX_RECORD_BYTES
    writes = [Put(note(f"{index:02}", text)) for index in range(most + 1)]

    with pytest.raises(InvalidInput, match=r"transaction of .* is too large"):
        catalog.transact(writes)
    assert keys(catalog) == []

    catalog.transact(writes[:most])
    assert len(keys(catalog)) == most


def test_fields_of_a_newer_release_are_ignored(catalog: Catalog) -> None:
    catalog.put(NoteOfTomorrow(tenant="t", name="a", text="x"))

    assert catalog.get(Note, "t", "a") == note("a", "x").changed(version=1)


def test_any_text_survives(catalog: Catalog) -> None:
    text = "\0 \" ' \\ \n é 😀 \u2028"
    catalog.put(note(text, text))

    assert catalog.get(Note, "t", text) == note(text, text).changed(version=1)
