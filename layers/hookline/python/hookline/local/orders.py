"""How the host tells a new process what to be: one JSON argument, without secrets."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hookline.core.config import Config
from hookline.core.ports import Group
from hookline.staging.place import Place


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that replicas and workers share. The process dies with `parent_pid`."""

    home: str
    config_home: str
    run_dir: str
    parent_pid: int
    sandbox: str
    log_level: str
    trace_hooks: bool
    chaos: int | None
    tenant: str
    group: str

    @property
    def hidden(self) -> tuple[Path, ...]:
        """What user code never sees: the platform's folders, and the home of whoever runs it.

        The folder of all runs lies outside the platform's home when that has a long path.
        """
        platform = (Path(self.home), Path(self.config_home), Path(self.run_dir).parent)
        person = Path.home()
        return platform if person == Path("/") else (*platform, person)

    @property
    def place(self) -> Place:
        """Where the process lays out files and runs the user's code."""
        return Place(
            run_dir=Path(self.run_dir),
            cache_dir=Path(self.home) / "cache",
            hidden=self.hidden,
            sandbox=self.sandbox,
            log_level=self.log_level,
            trace_hooks=self.trace_hooks,
            parent_pid=self.parent_pid,
        )


@dataclass(frozen=True, slots=True)
class Command:
    """The command line of a group's processes."""

    config: Config

    def __call__(self, group: Group, process_id: str, run_dir: Path) -> Sequence[str]:
        """What to run for one more process of `group`."""
        del process_id  # the run folder is unique already
        config = self.config
        order = Order(
            home=str(config.home),
            config_home=str(config.config_home),
            run_dir=str(run_dir),
            parent_pid=os.getpid(),
            sandbox=config.sandbox,
            log_level=config.log_level,
            trace_hooks=config.trace_hooks,
            chaos=config.chaos,
            tenant=group.tenant,
            group=group.name,
        )
        module = "worker" if group.role == "worker" else "replica"
        text = msgspec.json.encode(order).decode()
        return [sys.executable, "-P", "-m", f"hookline.local.{module}", text]


def parse(argv: Sequence[str]) -> Order:
    """The order in a process's arguments."""
    return msgspec.json.decode(argv[1], type=Order)
