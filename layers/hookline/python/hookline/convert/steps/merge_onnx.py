"""Makes one ONNX file of a model whose weights lie in files beside it.

The file is copied piece by piece: a tensor that points elsewhere is written anew with its bytes
inside, and the lengths of all that contain it follow. Field numbers are those of onnx.proto3.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hookline.convert.job import Job, Result
from hookline.convert.wire import tag, varint
from hookline.core.errors import InvalidModel
from hookline.core.onnxfile import PARTS
from hookline.core.protobuf import BYTES, Field, Malformed, Reader, Span, checked_span

FILE = "model.onnx"
MAX_BYTES = (1 << 31) - 1  # of one protobuf message
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14  # TensorProto
_KEY, _VALUE = 1, 2  # StringStringEntryProto
_CHUNK_BYTES = 1 << 20
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the file that is made: these, or a stretch of the file at `path`."""

    data: bytes = b""
    path: Path | None = None
    start: int = 0
    size: int = 0

    def __len__(self) -> int:
        return self.size if self.path else len(self.data)


def run(job: Job) -> Result:
    """Write the whole model into the job's folder."""
    source = Path(job.source)
    with source.open("rb") as file:
        reader = Reader(file)
        try:
            pieces = list(_Merger(reader, source).pieces(reader.whole(), "model", 0))
        except Malformed as error:
            raise InvalidModel(
                "The file is not a whole ONNX model.", why=str(error), hint="Export it again."
            ) from None
    size = sum(len(piece) for piece in pieces)
    if size > MAX_BYTES:
        raise InvalidModel(
            f"The model has {size / 1024**3:,.1f} GiB with its weights.",
            why="One ONNX file holds at most 2 GiB (a limit of protobuf).",
            hint="Export it in float16, or in parts.",
        )
    with (Path(job.folder) / FILE).open("wb") as target:
        for piece in pieces:
            _copy(piece, target)
    return Result(file=FILE)


class _Merger:
    """Rewrites the messages of one file."""

    def __init__(self, reader: Reader, source: Path) -> None:
        self._reader, self._source = reader, source

    def pieces(self, message: Span, kind: str, depth: int) -> Iterator[Piece]:
        """The content of `message`, weights inside."""
        if depth > _MAX_DEPTH:
            raise Malformed("Its graphs are nested too deep.")
        fields = list(self._reader.fields(message))
        if kind == "tensor" and any(field.number == _EXTERNAL_DATA for field in fields):
            yield from self._tensor(fields)
            return
        parts = PARTS.get(kind, {})
        at = before = message.start
        for field in fields:
            if field.number in parts:
                # Between two parts the file is copied as it stands, up to the next part's tag.
                yield from self._as_it_is(at, before)
                yield from self._part(field, parts[field.number], depth)
                at = field.span.end
            before = field.span.end
        yield from self._as_it_is(at, message.end)

    def _part(self, field: Field, kind: str, depth: int) -> Iterator[Piece]:
        inner = list(self.pieces(checked_span(field), kind, depth + 1))
        yield Piece(tag(field.number) + varint(sum(len(piece) for piece in inner)))
        yield from inner

    def _as_it_is(self, start: int, end: int) -> Iterator[Piece]:
        if end > start:
            yield Piece(path=self._source, start=start, size=end - start)

    def _tensor(self, fields: list[Field]) -> Iterator[Piece]:
        entries = {
            self._reader.text(span, _KEY): self._reader.text(span, _VALUE)
            for span in (checked_span(field) for field in fields if field.number == _EXTERNAL_DATA)
        }
        for field in fields:
            if field.number not in (_EXTERNAL_DATA, _DATA_LOCATION, _RAW_DATA):
                yield from self._field(field)
        weights = self._weights(entries)
        yield Piece(tag(_RAW_DATA) + varint(len(weights)))
        yield weights

    def _field(self, field: Field) -> Iterator[Piece]:
        start = tag(field.number, field.wire_type)
        size = field.span.end - field.span.start
        yield Piece(start + varint(size) if field.wire_type == BYTES else start)
        yield from self._as_it_is(field.span.start, field.span.end)

    def _weights(self, entries: dict[str, str]) -> Piece:
        name = entries.get("location", "")
        path = _beside(self._source, name)
        size = path.stat().st_size
        try:
            start = int(entries.get("offset", "0"))
            length = int(entries.get("length", size - start))
        except ValueError:
            raise Malformed(f"It says no place in {name!r} that is a number.") from None
        if not 0 <= start <= start + length <= size:
            raise InvalidModel(
                f"The file of weights {name!r} is too short.",
                why=f"Bytes {start} to {start + length} are asked for, of {size}.",
                hint="Copy all files of the model again.",
            )
        return Piece(path=path, start=start, size=length)


def _beside(source: Path, name: str) -> Path:
    """The file `name` beside `source`. Raise InvalidModel for any other place."""
    is_plain = name not in ("", ".", "..") and "/" not in name and "\\" not in name
    path = source.parent / name
    if not is_plain or "\0" in name:
        raise InvalidModel(
            f"The model keeps weights at {name[:100]!r}.",
            why="Only files beside the model are read.",
            hint="Save it with onnx.save(model, path, save_as_external_data=True), which puts "
            "them there.",
        )
    if not path.exists() or not stat.S_ISREG(os.lstat(path).st_mode):
        raise InvalidModel(
            f"The model's weights are in {name!r}, and there is no such file beside it.",
            hint="Put all files of the model into one folder and import the folder.",
        )
    return path


def _copy(piece: Piece, target: BinaryIO) -> None:
    if piece.path is None:
        target.write(piece.data)
        return
    with piece.path.open("rb") as file:
        file.seek(piece.start)
        left = piece.size
        while left:
            chunk = file.read(min(left, _CHUNK_BYTES))
            if not chunk:
                raise InvalidModel(f"{piece.path.name} became shorter while it was read.")
            target.write(chunk)
            left -= len(chunk)
