"""A seekable reader of an S3 object: fetches ranges, reads ahead, never mixes two versions."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from hookline.adapters.aws.errors import call, code_of, translated
from hookline.core.errors import Conflict, HooklineError, InputChanged, NotFound

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

FIRST_BYTES = 1 << 20  # holds a whole image, so that most files cost one request
AFTER_SEEK_BYTES = 1 << 17
MOST_BYTES = 1 << 23


def open_object(s3: S3Client, place: Mapping[str, Any], shown: str) -> BinaryIO:
    """Open what `place` names, a Bucket and a Key; errors call it `shown`. Raise NotFound."""
    try:
        answer = call(s3.get_object, **place, Range=f"bytes=0-{FIRST_BYTES - 1}")
        with translated():
            first = answer["Body"].read()
    except NotFound as error:
        raise no_file(shown) from error
    except HooklineError as error:
        if code_of(error) == "InvalidRange":  # S3 has no range of an empty object
            return io.BytesIO()
        raise
    version = _Version(s3, place, answer["ETag"], shown)
    return io.BufferedReader(_Ranges(version, _size_bytes(answer), first))


def no_file(shown: str) -> NotFound:
    """What reading an absent file raises in every world."""
    return NotFound(f"There is no file {shown}.", hint="List the files that are there.")


def _size_bytes(answer: GetObjectOutputTypeDef) -> int:
    _, _, total = answer.get("ContentRange", "").partition("/")  # "bytes 0-9/1234"
    return int(total) if total else answer["ContentLength"]


@dataclass(frozen=True, slots=True)
class _Version:
    """An object as it was when it was opened."""

    s3: S3Client
    place: Mapping[str, Any]
    etag: str
    shown: str

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`. Raise InputChanged when the version is gone."""
        try:
            answer = call(
                self.s3.get_object,
                **self.place,
                Range=f"bytes={start}-{end - 1}",
                IfMatch=self.etag,
            )
            with translated():
                return answer["Body"].read()
        except (Conflict, NotFound) as error:
            raise InputChanged(
                f"The file {self.shown} changed while it was being read.", hint="Read it again."
            ) from error


class _Ranges(io.RawIOBase):
    """`_window` is what was fetched last, and `_start` where in the object it begins."""

    def __init__(self, version: _Version, size_bytes: int, first: bytes) -> None:
        self._version, self._size_bytes = version, size_bytes
        self._window, self._start, self._at = first, 0, 0
        self._ahead_bytes = FIRST_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        if origin + offset < 0:
            raise ValueError(f"There is nothing at {origin + offset}.")
        self._at = origin + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        wanted = min(len(target), self._size_bytes - self._at)
        if wanted <= 0:
            return 0
        if not self._start <= self._at < self._start + len(self._window):
            self._fetch(wanted)
        begin = self._at - self._start
        found = self._window[begin : begin + wanted]
        target[: len(found)] = found
        self._at += len(found)
        return len(found)

    def readall(self) -> bytes:
        """The rest in one request, not one per window."""
        begin = self._at - self._start
        held = self._window[begin:] if begin >= 0 else b""
        self._at += len(held)
        is_more = self._at < self._size_bytes
        rest = self._version.read(self._at, self._size_bytes) if is_more else b""
        self._at += len(rest)
        return held + rest

    def _fetch(self, wanted_bytes: int) -> None:
        """Read ahead, more and more while the reader goes straight on."""
        is_straight_on = self._at == self._start + len(self._window)
        ahead_bytes = min(2 * self._ahead_bytes, MOST_BYTES) if is_straight_on else AFTER_SEEK_BYTES
        self._ahead_bytes = ahead_bytes
        end = min(self._at + max(wanted_bytes, ahead_bytes), self._size_bytes)
        self._window = self._version.read(self._at, end)
        self._start = self._at
