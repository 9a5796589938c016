"""Build the ports of one machine over one home folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hookline.adapters.absent_fleet import AbsentFleet
from hookline.adapters.embedded.blobs import FolderBlobs
from hookline.adapters.embedded.catalog import SqliteCatalog
from hookline.adapters.embedded.chaos import ChaosQueue
from hookline.adapters.embedded.linked import open_link
from hookline.adapters.embedded.queue import SqliteQueue
from hookline.adapters.embedded.signature import load_secret
from hookline.core.ports import Fleet, Ports, Queue

BUCKET = "local"  # what the events of one machine call its own blobs


def ports(
    home: Path,
    *,
    fleet: Fleet,
    clock: Callable[[], float] = time.time,
    chaos: int | None = None,
) -> Ports:
    """The ports over `home`, which is made on first use. `chaos` is the seed of queue disorder."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    messages: Queue = SqliteQueue.open(home / "queue.db", clock=clock)
    return Ports(
        catalog=SqliteCatalog.open(home / "catalog.db"),
        blobs=blobs(home, clock=clock),
        queue=messages if chaos is None else ChaosQueue(messages, chaos),
        fleet=fleet,
        linked=partial(open_link, home=home),
        bucket=BUCKET,
        clock=clock,
    )


def release_leases(home: Path) -> None:
    """Deliver again what an earlier host's processes held when they died with it."""
    SqliteQueue.open(home / "queue.db").release()


def process_ports(home: Path, *, chaos: int | None = None) -> Ports:
    """The ports of a process that hookline started: it cannot start others."""
    return ports(
        home,
        fleet=AbsentFleet("Only the process started by `hookline up` keeps them."),
        chaos=chaos,
    )


def blobs(home: Path, *, clock: Callable[[], float] = time.time) -> FolderBlobs:
    """The blobs of `home`, with the methods that serve signed URLs."""
    return FolderBlobs.prepare(home / "blobs", secret=load_secret(home / "secret"), clock=clock)
