"""Blobs as plain files in a folder, for a single machine: other programs can read and drop them."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256 as digest
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import quote

from hookline.adapters.embedded.beneath import ABSENT, folder, write_failed
from hookline.adapters.embedded.draft import Draft, sweep
from hookline.adapters.embedded.listing import Listing, parts_of
from hookline.adapters.embedded.signature import SignedBlob, sign
from hookline.core.checks import check_blob_key, check_limit
from hookline.core.errors import Forbidden, InvalidInput, NotFound, TooLarge
from hookline.core.ports import MAX_PAGE, BlobInfo, BlobWriter, Page, SignedRequest

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not block us


class Folder:
    """The files below `root` by their paths; links are neither listed nor followed."""

    def __init__(self, root: Path, *, hidden: str = "") -> None:
        self._root, self._hidden = root, hidden
        self._listing = Listing(root, f"{hidden}/".encode())

    def open(self, key: str) -> BinaryIO:
        folders, name = parts_of(self._checked(key))
        try:
            with folder(self._root, folders) as opened:
                file = os.open(name, _READ, dir_fd=opened)
        except OSError as error:
            raise _read_failed(key, error) from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise _no_file(key)
        return os.fdopen(file, "rb")

    def stat(self, key: str) -> BlobInfo | None:
        folders, name = parts_of(self._checked(key))
        try:
            with folder(self._root, folders) as opened:
                found = os.stat(name, dir_fd=opened, follow_symlinks=False)
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise _read_failed(key, error) from error
        return info_of(key, found) if stat.S_ISREG(found.st_mode) else None

    def list(self, prefix: str, *, after: str = "", limit: int = MAX_PAGE) -> Page[BlobInfo]:
        check_limit(limit, MAX_PAGE)
        found = list(islice(self._infos(prefix, after), limit + 1))
        return Page(found[:limit], after=found[limit - 1].key if len(found) > limit else "")

    def uri(self, prefix: str) -> str:
        return f"file://{quote(str(self._root))}/{quote(prefix)}"

    def _infos(self, prefix: str, after: str) -> Iterator[BlobInfo]:
        root = f"{self._root}/"  # pathlib costs more than the call of the kernel
        for path in self._listing.keys(_bytes(prefix), _bytes(after)):
            key = path.decode()
            # A file deleted since its folder was read is no longer there to be listed.
            with suppress(FileNotFoundError, NotADirectoryError):
                found = os.lstat(root + key)
                if stat.S_ISREG(found.st_mode):
                    yield info_of(key, found)

    def _checked(self, key: str) -> str:
        if self._hidden and key.partition("/")[0] == self._hidden:
            raise InvalidInput(f"The name {key!r} is reserved.", hint="Choose another name.")
        return check_blob_key(key)


class FolderBlobs(Folder):
    """Files that are whole or absent: written aside, flushed to the disk, then renamed."""

    def __init__(
        self, root: Path, *, secret: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(root, hidden=".tmp")
        self._aside = root / ".tmp"
        self._secret, self._clock = secret, clock

    @classmethod
    def prepare(
        cls, root: Path, *, secret: bytes, clock: Callable[[], float] = time.time
    ) -> FolderBlobs:
        """Make the folders and remove what dead writers left behind."""
        blobs = cls(root, secret=secret, clock=clock)
        blobs._aside.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(blobs._aside)
        return blobs

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        with self._draft(key, if_absent=if_absent) as draft:
            draft.write(data)

    @contextmanager
    def writer(self, key: str, *, if_absent: bool = False) -> Iterator[BlobWriter]:
        with self._draft(key, if_absent=if_absent) as draft:
            yield draft

    @contextmanager
    def receiving(self, signed: SignedBlob) -> Iterator[BlobWriter]:
        """Write the body of a signed PUT; nothing is stored unless it is what was signed."""
        with self._draft(signed.key) as draft:
            body = _Body(draft, signed)
            yield body
            body.check()

    def delete(self, key: str) -> None:
        folders, name = parts_of(self._checked(key))
        try:
            with folder(self._root, folders) as opened:
                os.unlink(name, dir_fd=opened)
        except OSError as error:
            if error.errno in ABSENT:
                return
            raise write_failed(key, error) from error
        self._prune(folders)

    def presign(
        self,
        method: Literal["GET", "PUT"],
        key: str,
        *,
        expires_s: int = 3600,
        sha256: str = "",
        size_bytes: int | None = None,
    ) -> SignedRequest:
        blob = SignedBlob(self._checked(key), sha256, size_bytes)
        url = sign(self._secret, method, blob, int(self._clock()) + expires_s)
        return SignedRequest(method, url)

    def uri(self, prefix: str) -> str:
        """Also make the folder, so that other programs can drop files into it."""
        if prefix.endswith("/"):
            parts = self._checked(prefix.rstrip("/")).split("/")
            with folder(self._root, parts, create=True):
                pass
        return super().uri(prefix)

    @contextmanager
    def _draft(self, key: str, *, if_absent: bool = False) -> Iterator[Draft]:
        folders, name = parts_of(self._checked(key))
        with Draft.begin(self._aside, key) as draft:
            yield draft
            draft.publish(self._root, folders, name, if_absent=if_absent)

    def _prune(self, folders: Sequence[str]) -> None:
        """Remove the folders that the last file has left."""
        for depth in range(len(folders), 0, -1):
            try:
                with folder(self._root, folders[: depth - 1]) as parent:
                    os.rmdir(folders[depth - 1], dir_fd=parent)
            except OSError:  # not empty any more, or removed by someone else
                return


class _Body:
    """Counts and hashes what is written."""

    def __init__(self, draft: Draft, signed: SignedBlob) -> None:
        self._draft, self._signed = draft, signed
        self._digest, self._size_bytes = digest(), 0

    def write(self, data: bytes) -> None:
        self._size_bytes += len(data)
        most = self._signed.size_bytes
        if most is not None and self._size_bytes > most:
            raise TooLarge(f"The body is larger than the {most} bytes that were announced.")
        self._digest.update(data)
        self._draft.write(data)

    def check(self) -> None:
        signed = self._signed
        if signed.size_bytes not in (None, self._size_bytes):
            raise InvalidInput(
                f"The body has {self._size_bytes} bytes.",
                why=f"{signed.size_bytes} were announced.",
                hint="Send the whole file again.",
            )
        if signed.sha256 and self._digest.hexdigest() != signed.sha256:
            raise InvalidInput(
                f"The body has the SHA-256 {self._digest.hexdigest()}.",
                why=f"{signed.sha256} was announced.",
                hint="The file changed or was damaged on its way; send it again.",
            )


def info_of(key: str, found: os.stat_result) -> BlobInfo:
    """The etag changes when a file is replaced (inode) and when it is edited in place (mtime)."""
    etag = f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"
    return BlobInfo(key, found.st_size, etag, found.st_mtime)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _no_file(key: str) -> NotFound:
    return NotFound(f"There is no file {key}.", hint="List the files that are there.")


def _read_failed(key: str, error: OSError) -> Exception:
    if error.errno in ABSENT:
        return _no_file(key)
    if error.errno in (errno.EACCES, errno.EPERM):
        return Forbidden(
            f"The file {key} may not be read.",
            hint="Give the user that runs hookline the right to read it.",
        )
    return write_failed(key, error)
