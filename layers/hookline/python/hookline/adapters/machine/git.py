"""Runs git on a repository that nobody vouches for: no settings of anyone's, no prompts, no hooks.

Time and size are watched from outside, since a fetch has no limits of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hookline.adapters.machine.fetched import POLL_S, outside_settings
from hookline.core.errors import DeadlineExceeded, InvalidBundle

MAX_OUTPUT_BYTES = 64 * 1024**2
_STOP_S = 2.0
_SHOWN_LINES, _SHOWN_CHARS = 8, 300
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.symlinks=false",
    "protocol.ext.allow=never",
    "protocol.file.allow=never",
    "credential.helper=",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.unpackLimit=1",  # one file, whose growth can be watched
    "advice.detachedHead=false",
)


class GitFailed(Exception):
    """git ended with an error; `lines` are the last that it printed, safe to show."""

    def __init__(self, lines: str) -> None:
        super().__init__(lines)
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Source:
    """The repository that was asked for, and what fetching it may take. `deadline`: monotonic."""

    url: str
    commit: str
    protocols: str
    environ: Mapping[str, str]
    deadline: float
    max_bytes: int

    @property
    def name(self) -> str:
        """As messages name it."""
        return f"{self.url} at {self.commit}" if self.commit else self.url

    def refused(self, why: str, hint: str) -> InvalidBundle:
        """The error that ends every way in which it cannot be used."""
        return InvalidBundle(f"The repository {self.name} cannot be used.", why=why, hint=hint)

    def too_large(self, most: str) -> InvalidBundle:
        return self.refused(
            f"It is too large: at most {most} are taken.",
            "Put the files you need into a bundle or a volume.",
        )

    def late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"Fetching the repository {self.name} took too long.",
            hint="Try again, or put the files you need into a bundle or a volume.",
        )


@dataclass(frozen=True, slots=True)
class Git:
    """git for one source. `folder` holds its data, all of it; the files come out beside it."""

    source: Source
    folder: Path

    @property
    def tree(self) -> Path:
        """Where the files of a commit are written."""
        return self.folder.with_name("tree")

    def run(self, *arguments: str) -> bytes:
        """What git printed. Raise GitFailed, InvalidBundle when it grows too large, or late."""
        out, errors = self.folder / "out", self.folder / "errors"
        command = [self._program(), *(word for name in _SETTINGS for word in ("-c", name))]
        with out.open("wb") as out_file, errors.open("wb") as error_file:
            process = subprocess.Popen(  # noqa: S603 - a list without a shell, of checked parts
                [*command, *arguments],
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=error_file,
            )
            try:
                status = self._watched(process, out)
            finally:
                _stop(process)
        if status != 0:
            raise GitFailed(_last_lines(errors))
        return out.read_bytes()

    def _program(self) -> str:
        found = shutil.which("git", path=self.source.environ.get("PATH", os.defpath))
        if found is None:
            raise self.source.refused(
                "The machine that runs hookline has no git.",
                "Install it there, on Debian with `apt install git`, and deploy again.",
            )
        return found

    def _environment(self) -> dict[str, str]:
        settings = outside_settings(self.source.environ)
        # git may be built on a library that knows no SSL_CERT_FILE
        certificates = {
            ours: settings[theirs]
            for ours, theirs in (
                ("GIT_SSL_CAINFO", "SSL_CERT_FILE"),
                ("GIT_SSL_CAPATH", "SSL_CERT_DIR"),
            )
            if theirs in settings
        }
        return {
            **settings,
            **certificates,
            "HOME": str(self.folder),  # neither .netrc nor a store of credentials is there
            "LC_ALL": "C",
            "GIT_DIR": str(self.folder / "repository"),
            "GIT_WORK_TREE": str(self.tree),
            "GIT_ALLOW_PROTOCOL": self.source.protocols,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
        }

    def _watched(self, process: subprocess.Popen[bytes], out: Path) -> int:
        status: int | None = None
        while status is None:
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(POLL_S)
            if _size_bytes(self.folder) > self.source.max_bytes:
                raise self.source.too_large(f"{self.source.max_bytes} bytes")
            if out.stat().st_size > MAX_OUTPUT_BYTES:
                raise self.source.too_large(f"{MAX_OUTPUT_BYTES} bytes of names")
            if status is None and time.monotonic() > self.source.deadline:
                raise self.source.late()
        return status


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End git if it still runs: asked first, it ends the programs that it started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _size_bytes(folder: Path) -> int:
    total_bytes = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # renamed or removed while we look
            total_bytes += path.lstat().st_size
    return total_bytes


def _last_lines(errors: Path) -> str:
    """Some of it was written by the other side: no control characters."""
    lines = errors.read_text("utf-8", "replace").replace("\r", "\n").strip().splitlines()
    shown = (line[:_SHOWN_CHARS] for line in lines[-_SHOWN_LINES:])
    return "\n".join("".join(char for char in line if char.isprintable()) for line in shown)
