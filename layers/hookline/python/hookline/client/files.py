"""Files on their way to and from the cloud: walked, hashed, sent in chunks, replaced whole."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hookline.core.errors import InvalidInput, NotFound
from hookline.core.names import is_hidden

CHUNK_BYTES = 1 << 18
DOTFILE, LINK = "dotfile", "link"
NO_FILE, NO_TEXT = "not a regular file", "name is not UTF-8"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: equal folders give equal bytes


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to upload under `name`, which has forward slashes."""

    name: str
    path: Path
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something a walk left out, and why: a dotfile, a link, not a regular file, and so on."""

    path: str
    reason: str


def walk(root: Path, *, follow_symlinks: bool = False) -> Iterator[LocalFile | Skipped]:
    """Everything below the folder `root`, sorted by folder; a file alone is itself."""
    if root.is_file():
        yield LocalFile(root.name, root, root.stat().st_size)
        return
    if not root.exists():
        raise NotFound(f"There is no file or folder {root}.", hint="Check the path.")
    if not root.is_dir():
        raise InvalidInput(
            f"{root} is neither a file nor a folder.", hint="Save what it gives in a file first."
        )
    yield from _below(root, "", frozenset(), follow_symlinks=follow_symlinks)


def _below(
    folder: Path, prefix: str, above: frozenset[tuple[int, int]], *, follow_symlinks: bool
) -> Iterator[LocalFile | Skipped]:
    state = folder.stat()
    here = (state.st_dev, state.st_ino)
    if here in above:  # a link back up would never end
        yield Skipped(prefix, "loop of links")
        return
    for entry in sorted(os.scandir(folder), key=lambda found: found.name):
        name = prefix + entry.name
        reason = reason_to_skip(entry, follow_symlinks=follow_symlinks)
        if reason:
            yield Skipped(ascii(name), reason)
        elif entry.is_dir():
            yield from _below(
                Path(entry.path), f"{name}/", above | {here}, follow_symlinks=follow_symlinks
            )
        else:
            yield LocalFile(name, Path(entry.path), entry.stat().st_size)


def reason_to_skip(entry: os.DirEntry[str], *, follow_symlinks: bool = False) -> str:
    """Why an entry of a folder is no input; empty for one that is, and for folders."""
    if is_hidden(entry.name):
        return DOTFILE
    if entry.is_symlink() and not follow_symlinks:
        return LINK
    if not entry.is_dir() and not entry.is_file():
        return NO_FILE
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        return NO_TEXT
    return ""


def sha256_of(path: Path) -> str:
    """The digest of a file, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def chunks(path: Path, on_bytes: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """The content of a file in pieces; `on_bytes` hears of each that is taken."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
            if on_bytes:
                on_bytes(len(chunk))


def check_place(path: Path) -> None:
    """Raise NotFound or InvalidInput where no file can be written."""
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder.", hint="Name a file to write.")
    if not path.parent.is_dir():
        raise NotFound(f"There is no folder {path.parent}.", hint="Make it, or name another file.")


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when the block ends well, and vanishes otherwise.

    Raise NotFound or InvalidInput where no such file can be.
    """
    check_place(path)
    try:
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}-")
    except OSError as error:  # named after the draft, which nobody asked for
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(file.fileno(), 0o666 & ~mask)  # as open() would have made it
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(draft).unlink()
        raise


@contextmanager
def as_bundle(path: Path) -> Iterator[tuple[Path, str]]:
    """A file to upload as hooks, and its name: `path` itself, or the zip of a folder."""
    if path.is_file():
        yield path, path.name
        return
    if not path.is_dir():
        raise NotFound(f"There is no file or folder {path}.", hint="Check the path.")
    with tempfile.TemporaryDirectory(prefix="hookline-") as scratch:
        packed = Path(scratch) / "bundle.zip"
        _pack(path, packed)
        yield packed, f"{path.resolve().name}.zip"


def _pack(folder: Path, target: Path) -> None:
    found = [file for file in walk(folder) if isinstance(file, LocalFile)]
    wanted = [file for file in found if "__pycache__" not in file.name.split("/")]
    if not any(file.name == "inference.py" for file in wanted):
        raise InvalidInput(
            f"There is no inference.py in {folder}.",
            hint="Put the hooks in a file of that name, at the top of the folder.",
        )
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in wanted:
            entry = zipfile.ZipInfo(file.name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16  # a regular file, readable
            with file.path.open("rb") as source, archive.open(entry, "w") as member:
                while chunk := source.read(CHUNK_BYTES):
                    member.write(chunk)
