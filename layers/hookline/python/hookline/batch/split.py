"""Cut files of records into their records: one row each, named `path#n`, with n counted from 1.

A record is a line; in a .csv a quoted cell may have line breaks; in a .parquet it is a row, whose
place is its number. Only places are told, never content, so the memory this takes does not depend
on the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from hookline.batch import parquet
from hookline.batch.entries import Entry, File, Source
from hookline.core.errors import InvalidInput, NotFound
from hookline.core.extras import check_parquet
from hookline.core.names import records_suffix_of

_PIECE_BYTES = 64 * 1024
_BOM = b"\xef\xbb\xbf"


def split(source: Source, files: Iterator[File], *, has_header: bool) -> Iterator[File]:
    """The records of the files that have some, and the other files as they are."""
    for file in files:
        if records_suffix_of(file.name):
            yield from _records(source, file, 0, 1, has_header=has_header)
        else:
            yield file


def rest(source: Source, last: Entry) -> Iterator[File]:
    """The records of its file that follow the record `last`.

    Where the file has changed or gone meanwhile, its rest is one record that cannot be read.
    """
    number = last.number + 1
    start = number - 1 if parquet.is_parquet(last.file) else last.start + last.size_bytes
    found = source.blobs.stat(source.prefix + last.file)
    if found is None or found.etag != last.etag:
        yield File(name=f"{last.file}#{number}", size_bytes=1, etag=last.etag, start=start)
        return
    file = File(name=last.file, size_bytes=found.size_bytes, etag=found.etag)
    yield from _records(source, file, start, number, has_header=False)


def _records(
    source: Source, file: File, start: int, number: int, *, has_header: bool
) -> Iterator[File]:
    is_csv = records_suffix_of(file.name) == ".csv"
    try:
        if parquet.is_parquet(file.name):
            yield from _rows(source, file, number)
            return
        with source.blobs.open(source.prefix + file.name) as content:
            spans = _spans(content, start, is_quoted=is_csv)
            if is_csv and has_header:
                next(spans, None)
            for at, (begin, size_bytes) in enumerate(spans, number):
                yield File(f"{file.name}#{at}", size_bytes, file.etag, begin)
    except NotFound:  # gone since it was listed: one row says so
        yield File(f"{file.name}#{number}", 1, file.etag, start)


def _rows(source: Source, file: File, number: int) -> Iterator[File]:
    check_parquet()
    with source.blobs.open(source.prefix + file.name) as content:
        try:
            extent = parquet.extent(content, file.name)
        except InvalidInput:  # one row says why, when it is read
            extent = parquet.Extent(number, 1)
    for at in range(number, extent.rows + 1):
        yield File(f"{file.name}#{at}", extent.row_bytes, file.etag, at - 1)


def _spans(content: BinaryIO, start: int, *, is_quoted: bool) -> Iterator[tuple[int, int]]:
    """Where each record begins, and its bytes without the line's end; blank ones are left out."""
    content.seek(start)
    begin = position = start
    is_blank, is_open = True, False
    end = start
    while piece := content.readline(_PIECE_BYTES):
        if not position and piece.startswith(_BOM):
            begin = len(_BOM)
        position += len(piece)
        if is_quoted and piece.count(b'"') % 2:
            is_open = not is_open
        text = piece.rstrip(b"\r\n")
        if text.strip():
            is_blank, end = False, position - len(piece) + len(text)
        if is_open or not piece.endswith(b"\n"):
            continue
        if not is_blank:
            yield begin, end - begin
        begin, is_blank = position, True
    if not is_blank:
        yield begin, end - begin
