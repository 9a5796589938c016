"""What was acknowledged is there after SIGKILL, and writers in several processes lose nothing."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from hookline.adapters.embedded import wiring
from hookline.adapters.machine.spawn import trusted_environment
from hookline.control.transactions import Counter
from hookline.core.ports import Ports
from hookline.core.records import User
from hookline.core.topology import PLAN

ROUNDS = 20
PROCESSES, INCREMENTS = 4, 40

# Writes to every store, and names each write on its output once it is acknowledged.
WRITER = """
import itertools, sys
from pathlib import Path
from hookline.adapters.embedded.wiring import process_ports
from hookline.core.records import User

home, round_ = Path(sys.argv[1]), sys.argv[2]
ports = process_ports(home)
print("ready", flush=True)
for index in itertools.count():
    name = f"{round_}-{index}"
    ports.catalog.put(User(tenant="t", name=name, role="user", created_at=0.0))
    print("catalog", name, flush=True)
    ports.blobs.put(f"t/{name}/blob", name.encode() * 1000)
    print("blobs", name, flush=True)
    with ports.blobs.writer(f"t/{name}/large") as writer:
        for _ in range(10):
            writer.write(name.encode() * 1000)
    print("large", name, flush=True)
    ports.queue.send("plan", [name.encode()])
    print("queue", name, flush=True)
"""

# Counts and records each count, in one transaction, against others who do the same.
COUNTER = """
import sys
from pathlib import Path
from hookline.adapters.embedded.wiring import process_ports
from hookline.core.errors import Conflict
from hookline.core.ports import Put
from hookline.control.transactions import Counter
from hookline.core.records import User

ports = process_ports(Path(sys.argv[1]))
done = 0
while done < int(sys.argv[3]):
    counter = ports.catalog.get(Counter, "t", "n") or Counter(tenant="t", of="n", last=0)
    last = counter.last + 1
    user = User(tenant="t", name=f"{last:06d}", role="user", created_at=0.0)
    try:
        ports.catalog.transact([Put(counter.changed(last=last)), Put(user)])
    except Conflict:
        continue
    done += 1
"""


def run(script: str, home: Path, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(home), *map(str, args)],
        env=trusted_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )


def acked_before_the_kill(home: Path, round_: int, seconds: float) -> list[tuple[str, str]]:
    """Let a writer run for a while, kill it, and return what it had said was done."""
    with run(WRITER, home, round_) as writer:
        assert writer.stdout is not None
        try:
            assert writer.stdout.readline() == "ready\n"
            time.sleep(seconds)
        finally:
            writer.kill()
        lines = writer.stdout.read().split("\n")[:-1]  # the last line may be cut
    return [(store, name) for store, name in map(str.split, lines)]


def read(ports: Ports, key: str) -> bytes:
    with ports.blobs.open(key) as file:
        return file.read()


def queued(ports: Ports) -> set[str]:
    names: set[str] = set()
    while leases := ports.queue.receive(PLAN, 10, lease_s=3600):
        names |= {lease.body.decode() for lease in leases}
    return names


def check(ports: Ports, acked: list[tuple[str, str]]) -> None:
    on_queue = queued(ports)
    for store, name in acked:
        if store == "catalog":
            assert ports.catalog.get(User, "t", name) is not None
        elif store == "blobs":
            assert read(ports, f"t/{name}/blob") == name.encode() * 1000
        elif store == "large":
            assert read(ports, f"t/{name}/large") == name.encode() * 10_000
        else:
            assert name in on_queue


def check_no_blob_is_half(ports: Ports) -> None:
    after = ""
    while True:
        page = ports.blobs.list("t/", after=after)
        for info in page.items:
            _, name, kind = info.key.split("/")
            assert info.size_bytes == len(name) * {"blob": 1000, "large": 10_000}[kind]
        if not (after := page.after):
            return


@pytest.mark.slow
def test_what_was_acknowledged_survives_sigkill(home: Path) -> None:
    chance = random.Random(5)
    total = 0
    for round_ in range(ROUNDS):
        acked = acked_before_the_kill(home, round_, chance.uniform(0.005, 0.15))
        ports = wiring.process_ports(home)
        check(ports, acked)
        check_no_blob_is_half(ports)
        total += len(acked)

    assert total > ROUNDS


@pytest.mark.slow
def test_writers_in_several_processes_lose_nothing(home: Path) -> None:
    with ExitStack() as stack:
        counters = [
            stack.enter_context(run(COUNTER, home, index, INCREMENTS)) for index in range(PROCESSES)
        ]
        for counter in counters:
            stack.callback(counter.kill)
        assert [counter.wait(100) for counter in counters] == [0] * PROCESSES
    catalog = wiring.process_ports(home).catalog
    expected = PROCESSES * INCREMENTS

    counted = catalog.get(Counter, "t", "n")
    assert counted is not None
    assert counted.last == expected
    users = catalog.query(User, "t", limit=1000).items
    assert [user.name for user in users] == [f"{n:06d}" for n in range(1, expected + 1)]
