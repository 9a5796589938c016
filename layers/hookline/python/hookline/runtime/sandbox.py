"""Put this process where user code sees its own files and no other process, and gains nothing.

In the namespaces the whole machine is read-only; folders for temporary files are private and
empty, `hide` folders look empty, and the hooks are at /code. Three processes stand in a row:

    outer, seen by the launcher → init, process 1 of the namespace → main, which returns

outer and init only wait, pass signals on and end with main's status. init reaps what hooks leave
behind; when any of the three dies, the kernel kills the rest.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
from pathlib import Path
from typing import Literal

from hookline.core.errors import Unavailable
from hookline.runtime import kernel, lifecycle
from hookline.runtime.rootfs import Visible, build_root
from hookline.runtime.spec import SandboxSpec

Level = Literal["namespaces", "none", "off"]

CODE_DIR = "/code"
CODE_DIR_VARIABLE = "HOOKLINE_CODE_DIR"
_PASSED_ON = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
_SIGNALLED = 128  # a status above it: ended by a signal, as shells report


def enter(spec: SandboxSpec, code_dir: str) -> tuple[Level, str]:
    """Confine this process; return the level reached and where the hooks are now.

    Call it while single-threaded and before user code is imported. In the namespaces the caller
    goes on in a grandchild of the process that called. Raise Unavailable where `mode` is on and
    the machine refuses.
    """
    level = _level(spec)
    if level == "namespaces":
        _go_inside(spec, code_dir)
        code_dir = CODE_DIR if code_dir else ""
    if level != "off":
        kernel.forbid_new_privileges()
    _limit(spec)
    if code_dir:
        os.environ[CODE_DIR_VARIABLE] = code_dir
    return level, code_dir


def probe() -> Level:
    """The level this machine supports, tried in a child process: "namespaces" or "none"."""
    child = os.fork()
    if child == 0:
        _probe_and_exit()
    _, status = os.waitpid(child, 0)
    return "namespaces" if status == 0 else "none"


def _probe_and_exit() -> None:
    try:
        _enter_namespaces(SandboxSpec(), "")
    except OSError:
        os._exit(1)
    os._exit(0)


def _level(spec: SandboxSpec) -> Level:
    if spec.mode == "off":
        return "off"
    level = probe()
    if level == "none" and spec.mode == "on":
        raise Unavailable(
            "This machine cannot sandbox hooks.",
            why="The kernel refuses user, mount or process namespaces to this process.",
            hint="Allow unprivileged user namespaces, or set HOOKLINE_SANDBOX=auto.",
        )
    return level


def _go_inside(spec: SandboxSpec, code_dir: str) -> None:
    try:
        _enter_namespaces(spec, code_dir)
    except OSError as error:
        raise Unavailable(
            "The sandbox could not be built.",
            why=str(error),
            hint="Look at the paths that the launcher hides and shows.",
        ) from error


def _enter_namespaces(spec: SandboxSpec, code_dir: str) -> None:
    """Go on as main inside; outer and init never return from here."""
    uid, gid = os.geteuid(), os.getegid()
    visible = Visible.of(spec, code_dir)
    network = 0 if spec.has_network else kernel.NEW_NETWORK
    kernel.unshare(kernel.NEW_USER | kernel.NEW_PID | kernel.NEW_IPC | network)
    _map_ids(uid, gid)
    _stay_behind_alive_together()
    os.setsid()  # Ctrl-C reaches outer alone, which passes it on once
    kernel.unshare(kernel.NEW_MOUNTS)
    build_root(visible)
    kernel.drop_capabilities()
    _stay_behind()


def _map_ids(uid: int, gid: int) -> None:
    """Keep being who we are; nobody else exists inside."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _stay_behind_alive_together() -> None:
    """Fork as `_stay_behind` does, across the border of the process namespace.

    The child cannot see its parent's id, so a pipe tells whether the parent died before the
    kernel knew of the tie.
    """
    watched, held = os.pipe()
    _stay_behind()
    os.close(held)
    lifecycle.kill_me_with_parent()
    is_parent_dead, _, _ = select.select([watched], [], [], 0)
    os.close(watched)
    if is_parent_dead:
        os._exit(_SIGNALLED + signal.SIGKILL)


def _stay_behind() -> None:
    """Return in a child; this process waits for it, passing signals on, and ends with its status.

    Signals are blocked before the fork and taken one by one, so none is lost in between.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, *_PASSED_ON})
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while (status := _ended(child)) is None:
        received = signal.sigwait({signal.SIGCHLD, *_PASSED_ON})
        if received != signal.SIGCHLD:
            os.kill(child, received)
    os._exit(status if status >= 0 else _SIGNALLED - status)


def _ended(child: int) -> int | None:
    """Reap every process that ended; return the status of `child` once it is among them."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return os.waitstatus_to_exitcode(status)
        if pid == 0:
            return None


def _limit(spec: SandboxSpec) -> None:
    """Lower what this process may use, for good."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, spec.max_open_files)
    if spec.max_processes:
        _lower(resource.RLIMIT_NPROC, spec.max_processes)
    if spec.max_memory_bytes:
        # Not RLIMIT_AS: runtimes reserve far more address space than they ever touch.
        _lower(resource.RLIMIT_DATA, spec.max_memory_bytes)


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (limit, limit))
