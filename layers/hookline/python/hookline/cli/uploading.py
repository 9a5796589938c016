"""`volume upload` at work: what of a folder goes, how far it is, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from hookline.cli import exits
from hookline.cli.output import printable
from hookline.cli.progress import progress
from hookline.client.files import LocalFile, walk
from hookline.core.errors import HooklineError, InvalidInput, Transient

if TYPE_CHECKING:
    from hookline import Client
    from hookline.cli.shell import Shell
    from hookline.client.views import Uploaded

MAX_TOLD = 10  # a cloud that went away fails every file that is left


@dataclass
class Folder:
    """What will be uploaded: counted first and walked again, so that memory stays flat."""

    path: Path
    follow_symlinks: bool
    total: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    @classmethod
    def at(cls, path: Path, *, follow_symlinks: bool) -> Self:
        """Count `path`. Raise NotFound or InvalidInput where there is nothing to upload."""
        folder = cls(path, follow_symlinks)
        for found in walk(path, follow_symlinks=follow_symlinks):
            if isinstance(found, LocalFile):
                folder.total += 1
            else:
                folder.skipped[found.reason] += 1
        folder._tell_skipped()
        if not folder.total:
            raise InvalidInput(f"There is no file to upload in {path}.", hint="Check the path.")
        return folder

    def files(self) -> Iterator[LocalFile]:
        """The files, in order."""
        for found in walk(self.path, follow_symlinks=self.follow_symlinks):
            if isinstance(found, LocalFile):
                yield found

    def _tell_skipped(self) -> None:
        if self.skipped:
            counts = ", ".join(f"{count} × {reason}" for reason, count in self.skipped.items())
            mend = " --follow-symlinks takes links." if self.skipped["link"] else ""
            exits.say(f"Skipped: {counts}.{mend}")


def send(cloud: Client, volume_id: int, folder: Folder) -> Uploaded:
    """Upload the folder; each failure is told as it happens."""
    done = failed = 0
    with progress("Uploading", "files") as bar:

        def on_file(file: LocalFile, error: HooklineError | None) -> None:
            nonlocal done, failed
            done, failed = done + 1, failed + (error is not None)
            if error and failed <= MAX_TOLD:
                exits.say(f"{printable(file.name)}: {printable(str(error))}")
            if error and failed == MAX_TOLD:
                exits.say("Further files that fail are only counted.")
            bar.show(done, folder.total, f"{failed:,} failed" if failed else "")

        word = f"Volume {volume_id} keeps what was sent; go on with -i {volume_id}."
        with exits.on_interrupt(word):
            try:
                return cloud.upload(volume_id, folder.files(), on_file=on_file)
            except Transient:
                exits.say(word)
                raise


def announce(shell: Shell, sentence: str) -> None:
    """The seed's sentences were on stdout and stay there for ncloud; a table needs none beside."""
    click.echo(sentence, err=not shell.is_seed)
