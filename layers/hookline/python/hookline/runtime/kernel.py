"""The Linux calls of the sandbox that Python has no name for."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from hookline.runtime.lifecycle import prctl

NEW_MOUNTS = 0x00020000
NEW_IPC = 0x08000000
NEW_USER = 0x10000000
NEW_PID = 0x20000000
NEW_NETWORK = 0x40000000

NO_SUID, NO_DEVICES, NO_EXEC, READ_ONLY = 2, 4, 8, 1
BIND_TREE = 4096 | 16384  # MS_BIND | MS_REC
PRIVATE_TREE = (1 << 18) | 16384  # MS_PRIVATE | MS_REC

_DETACH = 2
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_SYS_MOUNT_SETATTR = 442  # the same number on every architecture; glibc before 2.36 has no name
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64

_LIBC = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


def _checked(result: int, call: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")


def unshare(namespaces: int) -> None:
    """Leave the namespaces of the parent; NEW_PID holds for children."""
    _checked(_LIBC.unshare(namespaces), "unshare")


def mount(source: str | Path, target: str | Path, kind: str, flags: int, options: str = "") -> None:
    """Attach a file tree at `target`."""
    parts = (os.fsencode(text) for text in (source, target, kind))
    _checked(
        _LIBC.mount(*parts, ctypes.c_ulong(flags), options.encode()), f"mount {kind} on {target}"
    )


def make_read_only(target: Path, *, is_recursive: bool = True) -> None:
    """Make the mount at `target`, and those below it, read-only and keep their other flags."""
    wanted = _MountAttributes(set=READ_ONLY)
    status = _LIBC.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        _AT_FDCWD,
        os.fsencode(target),
        _AT_RECURSIVE if is_recursive else 0,
        ctypes.byref(wanted),
        ctypes.c_size_t(ctypes.sizeof(wanted)),
    )
    _checked(status, f"mount_setattr {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` the root; the old one appears at `put_old`."""
    _checked(_LIBC.pivot_root(os.fsencode(new_root), os.fsencode(put_old)), "pivot_root")


def detach(target: str | Path) -> None:
    """Unmount the tree at `target` for everyone in this namespace."""
    _checked(_LIBC.umount2(os.fsencode(target), _DETACH), f"umount {target}")


def drop_capabilities() -> None:
    """Give up every capability, also those that a program or a descendant could regain."""
    for capability in range(_MOST_CAPABILITIES):
        try:
            prctl(_PR_CAPBSET_DROP, capability)
        except OSError:  # past the last one this kernel knows
            break
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _checked(_LIBC.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def forbid_new_privileges() -> None:
    """No program started from here gains rights by set-user-ID or file capabilities."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
