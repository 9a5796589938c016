"""Put a bundle's files where user code will find them, without following anybody's links."""

from __future__ import annotations

import os
import shutil
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from hookline.core.archives import HOOK_FILE, Member, members
from hookline.core.errors import InvalidBundle

_CHUNK_BYTES = 1 << 20
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def extract_bundle(file: BinaryIO, filename: str, target: Path) -> None:
    """Write the bundle in `file` into `target`, which must be new or empty.

    A single .py file, whatever it is called, becomes inference.py; a zip is unpacked without its
    single top folder. Raise InvalidBundle and leave nothing behind when any of it is unsafe.
    """
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise FileExistsError(target)
    try:
        if filename.lower().endswith(".py"):
            _write(target, HOOK_FILE, file, None)
        else:
            _extract_zip(file, target)
    except BaseException:
        shutil.rmtree(target)
        raise


def find_hooks(code_dir: Path) -> Path | None:
    """The hook file of an unpacked bundle, or None when it has none."""
    path = code_dir / HOOK_FILE
    return path if path.is_file() else None


def _extract_zip(file: BinaryIO, target: Path) -> None:
    found = members(file)
    with zipfile.ZipFile(file) as archive:
        for member in found:
            try:
                _extract_member(archive, member, target)
            except _DAMAGE as error:
                raise InvalidBundle(
                    f"The zip is damaged at {member.name[:100]!r}.", why=f"{error}."
                ) from error


def _extract_member(archive: zipfile.ZipFile, member: Member, target: Path) -> None:
    with archive.open(member.name) as source:
        _write(target, member.path, source, member.size_bytes)


def _write(target: Path, path: str, source: IO[bytes], size_bytes: int | None) -> None:
    """Copy `source` to the new file `path` below `target`; what is longer than said is refused."""
    parts = PurePosixPath(path).parts
    folder = _open_folders(target, parts[:-1])
    try:
        with os.fdopen(os.open(parts[-1], _NEW_FILE, 0o644, dir_fd=folder), "wb") as sink:
            written_bytes = 0
            while chunk := source.read(_CHUNK_BYTES):
                written_bytes += len(chunk)
                if size_bytes is not None and written_bytes > size_bytes:
                    raise InvalidBundle(f"{path[:100]!r} is longer than the zip says.")
                sink.write(chunk)
    finally:
        os.close(folder)


def _open_folders(target: Path, parts: tuple[str, ...]) -> int:
    """A descriptor of the folder `parts` below `target`, made where missing, no link followed."""
    folder = os.open(target, _FOLDER)
    for part in parts:
        try:
            if not _exists(part, folder):
                os.mkdir(part, 0o755, dir_fd=folder)
            inner = os.open(part, _FOLDER, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
