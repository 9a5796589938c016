"""The file tree of the sandbox: the machine read-only, private temporary folders, hooks at /code.

Built in a mount namespace of its own, on an empty tmpfs, from the old root at _OLD. Paths given
to these functions are those inside, absolute and without links.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from hookline.runtime import kernel
from hookline.runtime.spec import SandboxSpec

_OLD, _NEW = Path("/old"), Path("/new")
_BUILT_HERE = {"proc", "dev", "code"}

# Sockets of the session bus or a container engine in /run would be ways out.
_PRIVATE = ("/run", "/tmp", "/var/tmp")  # noqa: S108 - replaced, not used
_SHOWN = ("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager")  # for name resolution
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "nvidia*", "neuron*", "dri", "kfd")
# With the machine's root as user 0, these would steer the machine without any capability.
_STEERING = ("sys", "sysrq-trigger", "irq", "bus", "acpi", "fs")
_TEMPORARY = "mode=1777,size=10%"  # of the memory
_PLAIN = "mode=755"
_TMPFS_FLAGS = kernel.NO_SUID | kernel.NO_DEVICES


class _Step(IntEnum):
    HIDE = 0
    SHOW = 1
    WRITABLE = 2


@dataclass(frozen=True, slots=True)
class Visible:
    """What user code sees; deeper paths win over those above them."""

    code_dir: Path | None
    hidden: tuple[Path, ...]
    shown: tuple[Path, ...]
    writable: tuple[Path, ...]

    @classmethod
    def of(cls, spec: SandboxSpec, code_dir: str) -> Visible:
        """`spec` as paths; Python and hookline themselves stay visible wherever they are."""
        package = str(Path(__file__).parents[2])
        python = (sys.prefix, sys.base_prefix, *filter(None, sys.path))
        return cls(
            code_dir=Path(code_dir).resolve() if code_dir else None,
            hidden=_existing((*_PRIVATE, *spec.hide)),
            shown=_existing((*_SHOWN, *python, package, *spec.show)),
            writable=_existing(spec.writable),
        )


def _existing(paths: Sequence[str]) -> tuple[Path, ...]:
    return tuple(Path(path).resolve() for path in paths if _is_reachable(Path(path)))


def _is_reachable(path: Path) -> bool:
    """Whether this user gets there; what we cannot reach, the hooks cannot either."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def build_root(visible: Visible) -> None:
    """Make the tree that `visible` describes the root of this mount namespace."""
    kernel.mount("", "/", "", kernel.PRIVATE_TREE)
    _pivot_to_an_empty_root()
    _bind_the_machine()
    kernel.make_read_only(_NEW)
    _hide_and_show(visible)
    _build_dev()
    if visible.code_dir:
        _bind(visible.code_dir, Path("/code"), is_read_only=True)
    _build_proc()
    kernel.make_read_only(_NEW, is_recursive=False)
    _leave_the_old_root()


def _in_old(path: Path) -> Path:
    return _OLD / path.relative_to("/")


def _in_new(path: Path) -> Path:
    return _NEW / path.relative_to("/")


def _pivot_to_an_empty_root() -> None:
    base = "/tmp"  # noqa: S108 - any folder serves as the mount point; nothing is written there
    kernel.mount("tmpfs", base, "tmpfs", _TMPFS_FLAGS, _PLAIN)
    os.chdir(base)
    for folder in (_NEW, _OLD):
        Path(folder.name).mkdir()
    kernel.pivot_root(".", _OLD.name)
    os.chdir("/")
    kernel.mount("tmpfs", _NEW, "tmpfs", _TMPFS_FLAGS, _PLAIN)


def _bind_the_machine() -> None:
    """Bind every entry of the old root; one that cannot be bound is left out."""
    for entry in _OLD.iterdir():
        if entry.name in _BUILT_HERE:
            continue
        if entry.is_symlink():
            (_NEW / entry.name).symlink_to(entry.readlink())
        else:
            with suppress(OSError):
                _bind(Path("/", entry.name), Path("/", entry.name), is_read_only=False)
    for name in _BUILT_HERE:
        (_NEW / name).mkdir()


def _hide_and_show(visible: Visible) -> None:
    """Parents before their children, so that the deeper path wins."""
    steps = [(path, _Step.HIDE) for path in visible.hidden]
    steps += [(path, _Step.SHOW) for path in visible.shown if _is_within(path, visible.hidden)]
    steps += [(path, _Step.WRITABLE) for path in visible.writable]
    for path, step in sorted(steps, key=lambda pair: (pair[0].parts, pair[1])):
        if step is _Step.HIDE:
            _cover(path)
        else:
            _bind(path, path, is_read_only=step is _Step.SHOW)
    for path in visible.hidden:  # only now: the mount points inside have been made
        if not _is_temporary(path):
            kernel.make_read_only(_in_new(path), is_recursive=False)


def _is_within(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _is_temporary(path: Path) -> bool:
    """Whether anyone may write there, as in /tmp."""
    return bool(_in_old(path).stat().st_mode & stat.S_ISVTX)


def _cover(path: Path) -> None:
    """An empty folder over `path`; a temporary one stays writable, and is private."""
    options = _TEMPORARY if _is_temporary(path) else _PLAIN
    _in_new(path).mkdir(parents=True, exist_ok=True)
    kernel.mount("tmpfs", _in_new(path), "tmpfs", _TMPFS_FLAGS, options)


def _bind(source: Path, target: Path, *, is_read_only: bool) -> None:
    """Show `source` of the old root at `target` of the new one."""
    old, new = _in_old(source), _in_new(target)
    if old.is_dir():
        new.mkdir(parents=True, exist_ok=True)
    elif not new.exists():
        new.parent.mkdir(parents=True, exist_ok=True)
        new.touch()
    kernel.mount(old, new, "", kernel.BIND_TREE)
    if is_read_only:
        kernel.make_read_only(new)


def _build_dev() -> None:
    """Only harmless devices and accelerators: a disk would be open to the machine's root."""
    dev, shm = _NEW / "dev", _NEW / "dev" / "shm"
    kernel.mount("tmpfs", dev, "tmpfs", kernel.NO_SUID | kernel.NO_EXEC, _PLAIN)
    for pattern in _DEVICES:
        for device in (_OLD / "dev").glob(pattern):
            path = Path("/", device.relative_to(_OLD))
            _bind(path, path, is_read_only=False)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (dev / name).symlink_to(f"/proc/self/fd/{number}")
    (dev / "fd").symlink_to("/proc/self/fd")
    shm.mkdir()
    kernel.mount("tmpfs", shm, "tmpfs", _TMPFS_FLAGS, _TEMPORARY)
    kernel.make_read_only(dev, is_recursive=False)


def _build_proc() -> None:
    """A /proc that knows this namespace's processes only, and cannot steer the machine."""
    proc = _NEW / "proc"
    kernel.mount("proc", proc, "proc", _TMPFS_FLAGS | kernel.NO_EXEC)
    # A nested user namespace would give back, inside itself, the capabilities dropped here.
    (proc / "sys/user/max_user_namespaces").write_text("0")
    for name in _STEERING:
        if (proc / name).exists():
            kernel.mount(proc / name, proc / name, "", kernel.BIND_TREE)
            kernel.make_read_only(proc / name)


def _leave_the_old_root() -> None:
    kernel.detach(_OLD)
    os.chdir(_NEW)
    kernel.pivot_root(".", ".")
    kernel.detach(".")
    os.chdir("/code")
