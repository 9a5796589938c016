"""The processes a fleet has started: their output goes to logs, their ends are noticed."""

from __future__ import annotations

import logging
import os
import secrets
import selectors
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from hookline.adapters.embedded import logs
from hookline.adapters.embedded.child import Child
from hookline.adapters.embedded.runs import ID_BYTES
from hookline.adapters.machine.spawn import trusted_environment
from hookline.core.ports import Group

log = logging.getLogger(__name__)

Command = Callable[[Group, str, Path], Sequence[str]]
"""The command line of one more process of a group, from its id and its folder."""


class Children:
    """Only the supervising thread may call `start`, `wait` and `reap`; `wake` ends its wait."""

    def __init__(self, runs: Path, log_root: Path, command: Command) -> None:
        self._runs, self._log_root, self._command = runs, log_root, command
        self._children: list[Child] = []
        self._ended: set[Child] = set()
        self._selector = selectors.DefaultSelector()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._bell, selectors.EVENT_READ)

    def __iter__(self) -> Iterator[Child]:
        """Oldest first."""
        return iter(self._children)

    def start(self, group: Group, started_at: float) -> Child:
        """Raise OSError or a HooklineError when that is impossible."""
        process_id = secrets.token_hex(ID_BYTES)
        run_dir = self._runs / process_id
        run_dir.mkdir(mode=0o700)
        try:
            command = self._command(group, process_id, run_dir)
            child = Child.start(
                group, process_id, run_dir, command, trusted_environment(), started_at
            )
        except BaseException:
            shutil.rmtree(run_dir, ignore_errors=True)
            raise
        self._children.append(child)
        for descriptor in (child.pidfd, child.output):
            self._selector.register(descriptor, selectors.EVENT_READ, child)
        return child

    def wait(self, timeout_s: float) -> None:
        """Return when a process has printed or ended, on `wake`, or after `timeout_s`."""
        for key, _ in self._selector.select(timeout_s):
            child: Child | None = key.data
            if child is None:
                os.eventfd_read(self._bell)
            elif key.fd == child.pidfd:
                self._ended.add(child)
            else:
                self._take_output(child)

    def reap(self) -> list[Child]:
        """Forget the processes that have ended, and return them; their files are still there."""
        ended, self._ended = list(self._ended), set()
        for child in ended:
            self._unregister(child.pidfd)
            self._unregister(child.output)
            self.say(child.group, *child.reap())
            self._children.remove(child)
        return ended

    def say(self, group: Group, *lines: bytes) -> None:
        """Write lines into the group's log; where there is no room for them they are lost."""
        try:
            logs.append(self.log_folder(group.tenant, group.name), lines)
        except OSError as error:  # a full disk must not keep us from starting and ending processes
            log.warning("lines_lost", extra={"lines": len(lines), "why": error.strerror})

    def log_folder(self, tenant: str, group: str) -> Path:
        return self._log_root / _as_name(tenant) / _as_name(group)

    def wake(self) -> None:
        """Callable from any thread."""
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """Free the descriptors; only once no process is left."""
        self._selector.close()
        os.close(self._bell)

    def _take_output(self, child: Child) -> None:
        lines = child.read()
        if lines is None:
            self._unregister(child.output)
        else:
            self.say(child.group, *lines)

    def _unregister(self, descriptor: int) -> None:
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)


def _as_name(text: str) -> str:
    return quote(text, safe="").replace(".", "%2E")
