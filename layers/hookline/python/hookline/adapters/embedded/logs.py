"""What the processes of a group print: lines in files of bounded size, addressed by position.

A position is the number of bytes ever written before a line. Each file is named by the position
of its first line, so positions stay valid when old files are removed and after a restart.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

MAX_LINE_BYTES = 16 * 1024
_FILE_BYTES = 1024 * 1024
_FILES = 4
_READ_BYTES = 256 * 1024


def append(folder: Path, lines: Sequence[bytes]) -> None:
    """Write whole lines, without their line ends, after all others."""
    if not lines:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    starts = _starts(folder)
    start = starts[-1] if starts else 0
    path = _path(folder, start)
    size_bytes = path.stat().st_size if starts else 0
    if size_bytes >= _FILE_BYTES:
        path = _path(folder, start + size_bytes)
        for old in starts[: 1 - _FILES]:
            _path(folder, old).unlink(missing_ok=True)
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def read(folder: Path, after: int) -> tuple[list[str], int]:
    """Some of the lines from position `after` on, and the position that follows them.

    A position whose lines are gone already starts at the oldest that is left.
    """
    end = 0
    for start in _starts(folder):
        with suppress(FileNotFoundError), _path(folder, start).open("rb") as file:
            size_bytes = file.seek(0, os.SEEK_END)
            offset = min(max(after - start, 0), size_bytes)
            file.seek(offset)
            data = file.read(_READ_BYTES)
            whole = data[: data.rfind(b"\n") + 1]
            if whole:
                return _texts(whole), start + offset + len(whole)
            end = start + size_bytes
    return [], min(after, end)


def _texts(whole: bytes) -> list[str]:
    return [line.decode(errors="replace") for line in whole[:-1].split(b"\n")]


def _starts(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.log"))


def _path(folder: Path, start: int) -> Path:
    return folder / f"{start:016d}.log"


class Lines:
    """Cuts a stream of bytes into lines; one that does not end is cut at MAX_LINE_BYTES."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest[:MAX_LINE_BYTES])
            self._rest = self._rest[MAX_LINE_BYTES:]
        return [line[at : at + MAX_LINE_BYTES] for line in lines for at in _cuts(line)]

    def end(self) -> list[bytes]:
        """The last line, if it lacks its line end."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


def _cuts(line: bytes) -> range:
    return range(0, max(len(line), 1), MAX_LINE_BYTES)
