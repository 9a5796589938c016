"""Installs the packages a bundle asks for, once per set of pins, into a folder of their own.

The folder is named by the hash of the pins and appears whole or not at all, however many replicas
ask for it at once and whichever of them is killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import uv

from hookline.adapters.machine.fetched import POLL_S, built_once, outside_settings
from hookline.core.errors import DeadlineExceeded, InvalidBundle, Unavailable

BUILD_TIMEOUT_S = 900.0
_SHOWN_LINES = 8


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
    python: str = "",
) -> Path:
    """The folder under `cache_dir` that holds `requirements`, for the front of sys.path.

    `requirements` are lines as `hookline.runtime.requirements.parse` gives them. Only wheels are
    installed, so nothing of a package runs. `python`: the interpreter, where it is not our own.
    Raise InvalidBundle, with the installer's last lines, when it cannot be done, DeadlineExceeded
    when it takes longer than `timeout_s`.
    """
    version = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    key = environment_key(requirements, version)
    deadline = time.monotonic() + timeout_s
    build = partial(_build, requirements, cache_dir, environ, deadline, python or sys.executable)
    return built_once(cache_dir / key, build, deadline=deadline, late=_late())


def find_python(
    version: str,
    cache_dir: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    timeout_s: float = BUILD_TIMEOUT_S,
) -> str:
    """An interpreter of `version`, as "3.11": our own, the machine's, or one that uv fetches.

    Raise Unavailable when there is none.
    """
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return os.path.realpath(sys.executable)
    folder = cache_dir / "pythons"
    find = [uv.find_uv_bin(), "python", "find", "--resolve-links", version]
    fetch = [uv.find_uv_bin(), "python", "install", "--no-bin", version]
    settings = _settings(environ) | {"UV_PYTHON_INSTALL_DIR": str(folder)}
    for command in (find, fetch, find):
        try:
            done = subprocess.run(  # noqa: S603 - a list without a shell, all of it ours
                command, env=settings, cwd="/", capture_output=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            break
        if command is find and done.returncode == 0:
            return done.stdout.decode().strip()
    raise Unavailable(
        f"There is no Python {version} on this machine, and it could not be fetched.",
        hint=f"Install Python {version}, or look at the network and the settings of uv.",
    )


def _build(
    requirements: Sequence[str],
    cache_dir: Path,
    environ: Mapping[str, str],
    deadline: float,
    python: str,
    work: Path,
) -> Path:
    wanted, site = work / "requirements.txt", work / "site"
    wanted.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
    _run(_command(wanted, site, cache_dir / "uv", python), environ, deadline)
    site.mkdir(exist_ok=True)  # every marker may have said no
    return site


def _command(wanted: Path, site: Path, cache: Path, python: str) -> list[str]:
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-progress", "--system-certs"]
    command += ["--python", python, "--cache-dir", str(cache), "--target", str(site)]
    # copies: a package that a hook alters must not alter the next environment's
    command += ["--only-binary", ":all:", "--link-mode", "copy", "--compile-bytecode"]
    if "--hash=" in wanted.read_text(encoding="utf-8"):
        command.append("--require-hashes")  # one hash asks for all, as in pip
    return [*command, "--requirement", str(wanted)]


def _run(command: list[str], environ: Mapping[str, str], deadline: float) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - a list without a shell; its parts are ours and checked pins
            command,
            env=_settings(environ),
            cwd="/",  # a uv.toml beside the data is no concern of ours
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=max(deadline - time.monotonic(), POLL_S),
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


def _settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Where packages come from, and how to reach them."""
    of_uv = {name: value for name, value in environ.items() if name.startswith("UV_")}
    home = {"HOME": environ["HOME"]} if "HOME" in environ else {}
    return {**outside_settings(environ), **of_uv, **home}


def _late() -> DeadlineExceeded:
    return DeadlineExceeded(
        "Installing the packages of requirements.txt took too long.",
        hint="Ask for fewer or smaller packages, or try again: what was fetched is kept.",
    )
