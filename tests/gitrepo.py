"""Small git repositories, made by git itself, whatever this machine's settings of git are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "ada"), ("EMAIL", "ada@example.com"))
}


class Repository:
    """A repository in `folder`, with the branch main."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", "--template=")

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        """What git printed."""
        settings = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **settings, **_WHO},
            input=stdin,
            stdout=subprocess.PIPE,
            check=True,
            timeout=30,
        )
        return done.stdout.decode().strip()

    def commit(self, **texts: str) -> str:
        """Write files (`a__b` is a/b.py) and commit everything; the digits of the commit."""
        for name, text in texts.items():
            path = self.folder / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")
