"""`hookline doctor`: what is missing or weak on this machine, with the mend for each."""

from __future__ import annotations

import importlib
import os
import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hookline.adapters.embedded.db import SQLITE_VERSION
from hookline.core.config import Config
from hookline.core.errors import HooklineError
from hookline.local.lock import HomeLock

GIB = 1024**3
MIN_FREE_BYTES = 2 * GIB
MIN_FILES = 1024
MIN_MEMORY_BYTES = GIB
MAX_SOCKET_PATH = 107  # sun_path on Linux, less the final NUL


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `mend` says what to do when it is not well."""

    name: str
    ok: bool
    detail: str
    mend: str = ""


def checks(config: Config) -> list[Check]:
    """Look at everything; a look that fails is itself a finding."""
    return [_checked(look, config) for look in _LOOKS]


def _checked(look: Callable[[Config], Check], config: Config) -> Check:
    name = look.__name__.removeprefix("_").replace("_", " ")
    try:
        found = look(config)
        return replace(found, mend="") if found.ok else found
    except (OSError, HooklineError) as error:
        return Check(name, ok=False, detail=str(error), mend="Mend what the message names.")


def _python(_: Config) -> Check:
    found = sys.version.split()[0]
    return Check("python", sys.version_info >= (3, 11), found, "Install Python 3.11 or later.")


def _platform(_: Config) -> Check:
    return Check("platform", sys.platform == "linux", sys.platform, "Use Linux (or WSL 2).")


def _package(name: str) -> Callable[[Config], Check]:
    def look(_: Config) -> Check:
        mend = "Install hookline again: pip install --force-reinstall hookline"
        try:
            importlib.import_module(_MODULES.get(name, name))
            return Check(f"package {name}", ok=True, detail=version(name))
        except (ImportError, PackageNotFoundError) as error:
            return Check(f"package {name}", ok=False, detail=str(error), mend=mend)

    look.__name__ = f"package {name}"
    return look


_MODULES = {"pillow": "PIL", "aws-lambda-powertools": "aws_lambda_powertools"}


def _home(config: Config) -> Check:
    """The data folder, or the nearest folder above it, can be written."""
    folder = _existing(config.home)
    mend = f"Give yourself write access to {folder}, or choose another --home."
    return Check("home", os.access(folder, os.W_OK), str(config.home), mend)


def _home_is_private(config: Config) -> Check:
    if not config.home.exists():
        return Check("home is private", ok=True, detail="not made yet")
    mode = config.home.stat().st_mode & 0o777
    mend = f"chmod 700 {config.home}"
    return Check("home is private", mode & 0o077 == 0, f"mode {mode:03o}", mend)


def _disk_space(config: Config) -> Check:
    free = shutil.disk_usage(_existing(config.home)).free
    detail = f"{free / GIB:.1f} GiB free"
    return Check("disk space", free >= MIN_FREE_BYTES, detail, "Free some space or move --home.")


def _inodes(config: Config) -> Check:
    found = os.statvfs(_existing(config.home))
    is_enough = found.f_files == 0 or found.f_favail > 10_000  # noqa: PLR2004 - some file systems count none
    return Check(
        "inodes", is_enough, f"{found.f_favail} free", "Remove small files you do not need."
    )


def _memory(_: Config) -> Check:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    detail = f"{total / GIB:.1f} GiB, {free / GIB:.1f} GiB free"
    return Check("memory", total >= MIN_MEMORY_BYTES, detail, "Use a machine with 1 GiB or more.")


def _open_files(_: Config) -> Check:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_enough = soft == resource.RLIM_INFINITY or soft >= MIN_FILES
    return Check("open files", is_enough, f"limit {soft}", f"ulimit -n {4 * MIN_FILES}")


def _port(config: Config) -> Check:
    """The port is free, or our own cloud has it."""
    if HomeLock.holder(config.home) is not None:
        return Check("port", ok=True, detail="hookline is up")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        is_free = probe.connect_ex((config.host, config.port)) != 0
    detail = f"{config.port} is {'free' if is_free else 'taken'}"
    return Check("port", is_free, detail, "Choose another with --port.")


def _sandbox(config: Config) -> Check:
    from hookline.runtime.sandbox import probe  # noqa: PLC0415 - forks to try

    level = "off" if config.sandbox == "off" else probe()
    mend = (
        "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, and on "
        "Ubuntu kernel.apparmor_restrict_unprivileged_userns=0). Until then hooks see this "
        "machine's files, and /code must be read from HOOKLINE_CODE_DIR."
    )
    return Check("sandbox", level == "namespaces", level, mend)


def _sockets(_: Config) -> Check:
    """Replicas listen on unix sockets, whose paths have a small limit."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as probe:
        probe.bind(str(Path(folder) / "s"))
    return Check("unix sockets", ok=True, detail=f"paths up to {MAX_SOCKET_PATH} bytes")


def _database(_: Config) -> Check:
    mend = "Use a Python built with SQLite 3.35 or later."
    return Check("sqlite", SQLITE_VERSION >= (3, 35), ".".join(map(str, SQLITE_VERSION)), mend)


def _clock(_: Config) -> Check:
    year = time.gmtime().tm_year
    is_sane = 2025 <= year < 2100  # noqa: PLR2004 - leases and tokens need a real date
    return Check("clock", is_sane, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "Set it.")


def _package_installer(_: Config) -> Check:
    from uv import find_uv_bin  # noqa: PLC0415 - only looked for here

    try:
        return Check("uv", ok=True, detail=find_uv_bin())
    except FileNotFoundError as error:
        return Check("uv", ok=False, detail=str(error), mend="pip install uv")


def _git(_: Config) -> Check:
    """Only repositories of custom code need it."""
    detail = shutil.which("git") or "not found; --custom-code-url needs it"
    return Check("git", ok=True, detail=detail)


def _running(config: Config) -> Check:
    pid = HomeLock.holder(config.home)
    detail = f"yes, process {pid}" if pid else "no; start it with `hookline up`"
    return Check("running", ok=True, detail=detail)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


_LOOKS: tuple[Callable[[Config], Check], ...] = (
    _python,
    _platform,
    *(_package(name) for name in ("onnxruntime", "numpy", "pillow", "pydantic", "msgspec")),
    *(_package(name) for name in ("uvicorn", "httptools", "aws-lambda-powertools")),
    _database,
    _package_installer,
    _git,
    _home,
    _home_is_private,
    _disk_space,
    _inodes,
    _memory,
    _open_files,
    _sockets,
    _port,
    _clock,
    _sandbox,
    _running,
)
