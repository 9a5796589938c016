"""Installs the packages a bundle asks for, once per set of pins, into a folder of their own.

The folder is named by the hash of the pins and appears whole or not at all, however many replicas
ask for it at once and whichever of them is killed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import uv

from hookline.core.errors import DeadlineExceeded, InvalidBundle

BUILD_TIMEOUT_S = 900.0
_POLL_S = 0.1
_SHOWN_LINES = 8
# What the installer may know of this process's environment: where packages come from and how to
# reach them. The platform's own settings and credentials stay behind.
_PASSED_ON = ("UV_", "SSL_CERT_")
_PASSED_ON_EXACTLY = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "HOME", "PATH", "LANG"}


def environment_key(requirements: Sequence[str], python_version: str) -> str:
    """What tells one environment from another: 64 hex digits; the order of the pins is nothing."""
    parts = [sorted(requirements), python_version, sys.platform, os.uname().machine]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def install(
    requirements: Sequence[str],
    cache_dir: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    timeout_s: float = BUILD_TIMEOUT_S,
) -> Path:
    """The folder under `cache_dir` that holds `requirements`, for the front of sys.path.

    `requirements` are lines as `hookline.runtime.requirements.parse` gives them. Only wheels are
    installed, so nothing of a package runs. Raise InvalidBundle, with the installer's last lines,
    when it cannot be done, DeadlineExceeded when it takes longer than `timeout_s`.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = environment_key(requirements, version)
    target = cache_dir / key
    if target.is_dir():
        return target
    cache_dir.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    with _held(cache_dir / f"{key}.lock", deadline):
        if not target.is_dir():
            for abandoned in cache_dir.glob(f".{key}-*"):
                shutil.rmtree(abandoned, ignore_errors=True)
            _build(requirements, target, environ, deadline)
    return target


@contextmanager
def _held(lock: Path, deadline: float) -> Iterator[None]:
    """Hold a lock that the kernel frees when this process dies."""
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _late() from None
                time.sleep(_POLL_S)
        yield


def _build(
    requirements: Sequence[str], target: Path, environ: Mapping[str, str], deadline: float
) -> None:
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        wanted = work / "requirements.txt"
        wanted.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
        _run(_command(wanted, work / "site", target.parent / "uv"), environ, deadline)
        (work / "site").mkdir(exist_ok=True)  # every marker may have said no
        (work / "site").rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _command(wanted: Path, site: Path, cache: Path) -> list[str]:
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-progress", "--system-certs"]
    command += ["--python", sys.executable, "--cache-dir", str(cache), "--target", str(site)]
    # copies: a package that a hook alters must not alter the next environment's
    command += ["--only-binary", ":all:", "--link-mode", "copy", "--compile-bytecode"]
    if "--hash=" in wanted.read_text(encoding="utf-8"):
        command.append("--require-hashes")  # one hash asks for all, as in pip
    return [*command, "--requirement", str(wanted)]


def _run(command: list[str], environ: Mapping[str, str], deadline: float) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - a list without a shell; its parts are ours and checked pins
            command,
            env=_clean(environ),
            cwd="/",  # a uv.toml beside the data is no concern of ours
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=max(deadline - time.monotonic(), _POLL_S),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _late() from None
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InvalidBundle(
            "The packages of requirements.txt could not be installed.",
            why="\n".join(lines[-_SHOWN_LINES:]),
            hint="Pin versions that exist as wheels for this Python and machine.",
        )


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(_PASSED_ON) or name.upper() in _PASSED_ON_EXACTLY
    }


def _late() -> DeadlineExceeded:
    return DeadlineExceeded(
        "Installing the packages of requirements.txt took too long.",
        hint="Ask for fewer or smaller packages, or try again: what was fetched is kept.",
    )
