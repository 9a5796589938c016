"""Checks out the repository of a user's custom code, once per commit, into a folder of its own.

The files of one commit are kept and nothing else: no history, no `.git`, no submodules.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from hookline.adapters.machine.fetched import built_once
from hookline.adapters.machine.git import Git, GitFailed, Source
from hookline.core.archives import MAX_TOTAL_BYTES

CHECKOUT_TIMEOUT_S = 300.0
MAX_FILES = 50_000
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILES = {"100644", "100755", "100664"}  # modes; the last is an early git's
_SUBMODULE = "160000"
# How git says that a server gives no commit by its digits, or none without its history.
_REFUSALS = ("unadvertised object", "dumb http transport")


def checkout(
    url: str,
    commit: str,
    cache_dir: Path,
    *,
    protocols: str = "https",
    environ: Mapping[str, str] = os.environ,
    timeout_s: float = CHECKOUT_TIMEOUT_S,
    max_bytes: int = MAX_TOTAL_BYTES,
) -> Path:
    """The folder under `cache_dir` with the files of `commit` of the repository at `url`.

    `commit`: 40 digits, a branch, a tag, or "" for the default branch; both were checked by
    `hookline.core.repositories`. Only for 40 digits is nothing asked when the folder exists. Raise
    InvalidBundle, with git's last lines, DeadlineExceeded when it takes longer than `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    source = Source(url, commit, protocols, environ, deadline, max_bytes)
    digits = commit if _COMMIT.fullmatch(commit) else _resolved(source)
    key = hashlib.sha256(json.dumps([url, digits]).encode()).hexdigest()
    build = partial(_build, source, digits)
    return built_once(cache_dir.absolute() / key, build, deadline=deadline, late=source.late())


def _resolved(source: Source) -> str:
    """The commit that a branch or tag is at now."""
    places = _places(source.commit)
    with tempfile.TemporaryDirectory(prefix="hookline-git-") as folder:
        git = _opened(source, Path(folder))
        listed = _run(git, "ls-remote", "--quiet", "--", source.url, *places)
    found = dict(
        line.split("\t", 1)[::-1] for line in listed.decode("utf-8", "replace").splitlines()
    )
    for place in places:
        if _COMMIT.fullmatch(found.get(place, "")):
            return found[place]
    raise source.refused(
        "It has no such branch or tag." if source.commit else "It has no default branch.",
        "Give the name of a branch or tag, or all 40 digits of a commit.",
    )


def _places(name: str) -> list[str]:
    """Where a name may stand, in git's order. `^{}` is the commit that a tag with a text is of."""
    places = [name or "HEAD", f"refs/tags/{name}^{{}}", f"refs/tags/{name}", f"refs/heads/{name}"]
    return places if name else places[:1]


def _build(source: Source, digits: str, work: Path) -> Path:
    git = _opened(source, work)
    try:
        _fetch(git, digits)
    except GitFailed as error:
        raise _unusable(source, error) from error
    _check_files(source, _run(git, "ls-tree", "-r", "-l", "-z", "--full-tree", digits, "--"))
    _run(git, "checkout", "--quiet", "--force", "--detach", digits, "--")
    return git.tree


def _opened(source: Source, work: Path) -> Git:
    git = Git(source, work / "git")
    git.folder.mkdir()
    git.tree.mkdir()
    _run(git, "init", "--quiet", "--template=")
    return git


def _fetch(git: Git, digits: str) -> None:
    """Fetch the files of one commit, or everything where the server gives nothing less."""
    fetch = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules")
    try:
        git.run(*fetch, "--depth=1", "--", git.source.url, digits)
    except GitFailed as error:
        if not any(refusal in error.lines for refusal in _REFUSALS):
            raise
        everything = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        git.run(*fetch, "--update-head-ok", "--", git.source.url, *everything)


def _run(git: Git, *arguments: str) -> bytes:
    try:
        return git.run(*arguments)
    except GitFailed as error:
        raise _unusable(git.source, error) from error


def _unusable(source: Source, error: GitFailed) -> Exception:
    return source.refused(
        error.lines or "git gives no reason.",
        "Check the URL and the commit. Anyone must be able to read it: no password is sent.",
    )


def _check_files(source: Source, listed: bytes) -> None:
    """Look at what would be written, before it is: links to the outside never are."""
    entries = [entry.partition("\t") for entry in listed.decode("utf-8", "replace").split("\0")]
    total_bytes = 0
    for words, _, name in entries[:-1]:  # the last NUL ends the list
        mode, _, _, size_bytes = words.split()
        if mode in _FILES:
            total_bytes += int(size_bytes)
        elif mode != _SUBMODULE:
            raise source.refused(
                f"{name[:100]!r} in it is a link or another special file.",
                "Take it out, or put the files you need into a bundle.",
            )
    if total_bytes > source.max_bytes:
        raise source.too_large(f"{source.max_bytes} bytes")
    if len(entries) > MAX_FILES:
        raise source.too_large(f"{MAX_FILES} files")
