"""Make the rows of one shard: read, predict, and say for every file what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from hookline.batch.entries import Entry
from hookline.batch.journal import Journal
from hookline.batch.reading import Loaded, Reader, load
from hookline.batch.session import Session
from hookline.batch.watch import Watch
from hookline.core.errors import HookCrashed, HooklineError, InvalidOutput
from hookline.core.names import mime_type_of, record_type_of
from hookline.core.rows import Row, RowError
from hookline.runtime.items import Answer, Item, Outcome

MAX_OUTPUT_BYTES = 16 * 1024 * 1024
CAREFUL_FROM = 3  # the attempt from which on files are taken one by one
MAX_ATTEMPTS = 25


class Rows:
    """Fills a journal with the rows of its shard, as far as the watch lets it."""

    def __init__(self, session: Session, reader: Reader, journal: Journal, watch: Watch) -> None:
        self._session, self._reader = session, reader
        self._journal, self._watch = journal, watch
        self._kept: Iterator[Row] = iter(())
        self._next_kept: Row | None = None

    def fill(
        self,
        entries: Sequence[Entry],
        attempt: int,
        kept: Callable[[], Iterable[Row]] = lambda: (),
    ) -> None:
        """Add a row per entry, in order, after those that an earlier attempt saved.

        The rows that `kept` gives each time it is called, in order, are taken as they are. Raise
        retryable errors of the storage, and what ends the job.
        """
        left = entries[len(self._journal.rows) :]
        made = {row.index for row in kept()}
        taken = made & {entry.index for entry in left}
        self._kept = (row for row in kept() if row.index in taken)
        self._next_kept = next(self._kept, None)
        wanted = [entry for entry in left if entry.index not in taken]
        if attempt > MAX_ATTEMPTS:
            for entry in wanted:
                self._add(_given_up(entry))
        elif attempt >= CAREFUL_FROM:
            self._one_by_one(wanted)
        else:
            self._in_batches(wanted)
        if not self._watch.reason:
            self._add(None)

    def _add(self, row: Row | None) -> None:
        """Add a row after the kept ones before it; None adds the kept ones that are left."""
        rows = self._journal.rows
        while self._next_kept and (row is None or self._next_kept.index < row.index):
            rows.append(self._next_kept)
            self._next_kept = next(self._kept, None)
        if row is not None:
            rows.append(row)

    def _in_batches(self, entries: Sequence[Entry]) -> None:
        source, most = self._session.source, lambda: self._session.batch_size.items
        for batch in self._reader.batches(source, entries, most):
            if not self._watch.may_go_on():
                return
            self._predict(batch)
            self._journal.save_now_and_then()

    def _one_by_one(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if not self._watch.may_go_on():
                return
            if self._journal.accuse(entry.index):
                with self._acquitted():
                    self._predict([load(self._session.source, entry)])
            else:
                self._add(row_of(entry, _deadly()))

    @contextmanager
    def _acquitted(self) -> Iterator[None]:
        """The file in hand is not to blame for an error that may pass."""
        try:
            yield
        except HooklineError:
            self._journal.save()
            raise

    def _predict(self, batch: Sequence[Loaded]) -> None:
        items = [item_of(file.entry, file.body) for file in batch if isinstance(file.body, bytes)]
        outcomes = self._session.run(items, self._watch.may_go_on)
        for entry, body in batch:
            outcome = next(outcomes, None) if isinstance(body, bytes) else body
            if outcome is None:
                return  # the watch ended the run
            self._add(self._row(entry, body, outcome))

    def _row(self, entry: Entry, body: bytes | HooklineError, outcome: Outcome) -> Row:
        """The row of a file, with what the job wants beside the output."""
        job, row = self._session.job, row_of(entry, outcome)
        if "timing" in job.include and isinstance(body, bytes):
            row = msgspec.structs.replace(row, took_ms=self._session.took_ms)
        if job.joins_input and entry.is_record and isinstance(body, bytes):
            row = msgspec.structs.replace(row, input=body.decode("utf-8", "replace"))
        return row


def item_of(entry: Entry, body: bytes) -> Item:
    """The file, or the record, as the pipeline takes it."""
    mime_type = record_type_of(entry.file) if entry.is_record else mime_type_of(entry.name)
    return Item(body=body, mime_type=mime_type, name=entry.name)


def row_of(entry: Entry, outcome: Outcome) -> Row:
    """The row of a file; an output that is no text of a bearable size is an error."""
    output = _text(outcome.body) if isinstance(outcome, Answer) else outcome
    if isinstance(output, HooklineError):
        return Row(index=entry.index, name=entry.name, error=RowError.of(output))
    is_json = isinstance(outcome, Answer) and outcome.mime_type == "application/json"
    return Row(index=entry.index, name=entry.name, output=output, is_json=is_json)


def _text(body: bytes) -> str | InvalidOutput:
    if len(body) > MAX_OUTPUT_BYTES:
        return InvalidOutput(
            f"The output has {len(body)} bytes.",
            why=f"A cell of the results has at most {MAX_OUTPUT_BYTES} bytes.",
            hint="Return less in postprocess.",
        )
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        return InvalidOutput(
            "The output is not UTF-8 text.",
            why=f"Byte {error.start} is wrong.",
            hint="Return text in postprocess; encode bytes as base64.",
        )


def _deadly() -> HookCrashed:
    return HookCrashed(
        "The worker ended each time it took this file.",
        hint="Try this file with `hookline run`; the other files were predicted.",
    )


def _given_up(entry: Entry) -> Row:
    error = HooklineError(
        f"The worker gave up after {MAX_ATTEMPTS} attempts.",
        why="Each attempt ended before this file had a result.",
        hint="The log of the platform says why; then run the batch again.",
    )
    return row_of(entry, error)
