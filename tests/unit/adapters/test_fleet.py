from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from hookline.adapters.embedded.child import Child
from hookline.adapters.embedded.fleet import ProcessFleet
from hookline.adapters.machine.spawn import trusted_environment
from hookline.core.errors import Unavailable
from hookline.core.ports import Failure, Group, GroupState, Process
from tests.polling import until

READY = "import os, pathlib, signal, sys, time; pathlib.Path('ready').touch(); "
TELL = "import os, pathlib; pathlib.Path('pid').write_text(str(os.getpid())); "
SERVE = READY + "time.sleep(60)"

# The host of a fleet as a program of its own, so that a test can kill it.
HOST = """
import sys, time
from pathlib import Path
from hookline.adapters.embedded.fleet import ProcessFleet
from hookline.core.ports import Group

CHILD = '''
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(1, 9)
print(os.getpid(), file=open(sys.argv[1], "w"), flush=True)
time.sleep(60)
'''
fleet = ProcessFleet(
    Path(sys.argv[1]), lambda *_: [sys.executable, "-S", "-c", CHILD, sys.argv[2]]
)
fleet.ensure(Group("t", "g", "stream", 1))
time.sleep(60)
"""


class World:
    """A fleet whose processes run `script`, and what has happened in it."""

    def __init__(
        self, home: Path, drain_s: float = 30.0, start_s: float = 600.0, linger_s: float = 0.2
    ) -> None:
        self.script, self.changes = SERVE, 0
        self.started: list[Path] = []
        self.fleet = ProcessFleet(
            home, self._command, drain_s=drain_s, start_s=start_s, linger_s=linger_s
        )
        self.fleet.on_change = self._note

    def _command(self, _group: Group, _process_id: str, run_dir: Path) -> Sequence[str]:
        self.started.append(run_dir)
        return [sys.executable, "-S", "-c", self.script]

    def _note(self) -> None:
        self.changes += 1

    def run(self, script: str, *, role: str = "stream", count: int = 1) -> None:
        self.script = script
        self.fleet.ensure(Group("t", "g", "worker" if role == "worker" else "stream", count))

    def having(self, state: GroupState) -> list[Process]:
        return [process for process in self.fleet.observe() if process.state == state]

    def failure(self) -> Failure:
        """Of the first process that ended."""
        until(lambda: self.having("exited"))
        failure = self.having("exited")[0].failure
        assert failure is not None
        return failure

    def pid(self) -> int:
        """Of the process started last, whose script TELLs it."""
        path = self.started[-1] / "pid"
        until(lambda: path.exists() and path.read_text())
        return int(path.read_text())

    def lines(self) -> list[str]:
        return list(self.fleet.logs("t", "g")[0])


@pytest.fixture
def world(home: Path) -> Iterator[World]:
    world = World(home)
    yield world
    world.fleet.close()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_process_is_ready_when_its_file_says_so(world: World) -> None:
    world.run("import time; time.sleep(60)")
    until(lambda: world.having("starting"))
    assert not world.having("ready")
    (world.started[0] / "ready").touch()

    until(lambda: world.having("ready"))
    until(lambda: world.changes == 1)


def test_a_process_that_locks_its_folder_stops_nobody_else(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    command = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
    group = Group("t", "g", "stream", 1)
    child = Child.start(group, "1", run_dir, command, trusted_environment(), 0.0)
    run_dir.chmod(0)
    with unprivileged():
        is_ready = child.look(0.0)
    run_dir.chmod(0o700)
    child.kill()
    child.reap()

    assert not is_ready


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user who is bound by file modes, also where root runs the tests."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_stream_answers_on_a_socket_in_its_folder_and_a_worker_does_not(world: World) -> None:
    world.run(SERVE)
    world.fleet.ensure(Group("_", "worker", "worker", 1))
    until(lambda: len(world.having("ready")) == 2)

    assert {process.group: process.address for process in world.having("ready")} == {
        "g": f"unix:{world.started[0]}/replica.sock",
        "worker": "",
    }


def test_a_killed_process_is_started_again(world: World) -> None:
    world.run(TELL + SERVE)
    until(lambda: world.having("ready"))
    before = world.having("ready")[0].process_id
    killed_at = time.monotonic()
    os.kill(world.pid(), signal.SIGKILL)
    until(lambda: world.having("ready") and world.having("ready")[0].process_id != before)

    assert time.monotonic() - killed_at < 3
    assert [process.process_id for process in world.having("exited")] == [before]
    assert world.failure() == Failure("hook_crashed", "The process died with SIGKILL.")


def test_a_process_that_dies_while_it_loads_says_how_with_its_last_lines(world: World) -> None:
    crash = "import os, signal; print('loading', flush=True); os.kill(os.getpid(), signal.SIGSEGV)"
    world.run(crash)

    assert world.failure() == Failure(
        "model_load_failed", "The process died with SIGSEGV while it was starting.", "loading"
    )


def test_a_worker_that_dies_is_not_a_fault_of_a_hook(world: World) -> None:
    world.run("import sys; sys.exit('no home')", role="worker")

    assert world.failure() == Failure(
        "internal", "The process ended with exit code 1 while it was starting.", "no home"
    )


def test_a_process_that_could_not_start_tells_why_in_a_file(world: World) -> None:
    told = {"code": "hook_failed", "message": "init raised.", "trace": "line 3", "more": 1}
    world.run(
        f"import pathlib, sys; pathlib.Path('failure.json').write_text({json.dumps(told)!r}); "
        "sys.exit(3)"
    )

    assert world.failure() == Failure("hook_failed", "init raised.", "line 3")


@pytest.mark.parametrize(
    "write",
    [
        "path.write_text('[')",
        "path.write_text('[]')",
        "path.write_text('{}')",
        "path.write_text('null')",
        "path.write_text('[' * 60000)",
        "path.write_text('1' * 60000)",
        "path.write_bytes(b'\\xff')",
        "path.symlink_to('/etc/passwd')",
        "os.mkfifo(path)",
        "path.mkdir()",
    ],
)
def test_a_strange_failure_file_is_not_believed(world: World, write: str) -> None:
    world.run(f"import os, pathlib; path = pathlib.Path('failure.json'); {write}; os._exit(3)")

    assert world.failure().message == "The process ended with exit code 3 while it was starting."


def test_a_failure_file_with_half_a_character_is_readable(world: World) -> None:
    text = r'{"code": "x", "message": "\ud800!", "trace": ""}'
    world.run(f"import os, pathlib; pathlib.Path('failure.json').write_text({text!r}); os._exit(3)")

    assert world.failure().message == "?!"


def test_starts_that_fail_are_repeated_less_and_less_often(world: World) -> None:
    world.run("raise SystemExit(1)")
    until(lambda: len(world.started) == 4)
    began = time.monotonic()
    until(lambda: len(world.started) == 5)

    assert time.monotonic() - began > 1.0
    assert len(world.fleet.observe()) <= 2


def test_a_command_that_does_not_exist_is_a_failure_and_is_tried_again(world: World) -> None:
    commands = iter([["/nosuch/program"], [sys.executable, "-S", "-c", SERVE]])
    world.fleet._children._command = lambda *_: next(commands)
    world.fleet.ensure(Group("t", "g", "stream", 1))

    assert "No such file" in world.failure().message
    assert world.failure().code == "unavailable"
    until(lambda: world.having("ready"))


def test_the_environment_of_a_process_has_nothing_of_ours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOKLINE_KEY", "hk_secret")
    world.run("import os, time; print(*os.environ, flush=True); time.sleep(60)")
    until(world.lines)

    assert "PATH" in world.lines()[0]
    assert "HOOKLINE" not in world.lines()[0]


def test_a_process_drains_on_sigterm(world: World) -> None:
    world.run(
        "import signal; signal.signal(signal.SIGTERM, lambda *_: "
        "[print('draining', flush=True), time.sleep(0.3), sys.exit(0)]); " + SERVE
    )
    until(lambda: world.having("ready"))
    world.fleet.remove("t", "g")

    until(lambda: world.having("draining"))
    until(lambda: not world.fleet.observe())
    assert world.lines() == ["draining"]


def test_a_process_that_ignores_sigterm_is_killed(home: Path) -> None:
    world = World(home, drain_s=0.3)
    world.run(TELL + "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SERVE)
    until(lambda: world.having("ready"))
    pid = world.pid()
    world.fleet.remove("t", "g")
    until(lambda: not world.fleet.observe())

    assert not is_alive(pid)
    world.fleet.close()


def test_a_process_that_is_never_ready_is_ended_and_says_so(home: Path) -> None:
    world = World(home, start_s=0.2)
    world.run("import time; print('still loading', flush=True); time.sleep(60)")
    failure = world.failure()

    assert failure.code == "model_load_failed"
    assert failure.message == "The process was not ready after 0.2 s and was ended."
    assert "still loading" in failure.trace
    world.fleet.close()


def test_what_a_process_leaves_behind_ends_with_it(world: World) -> None:
    leave = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); "
    world.run(leave + "os = __import__('os'); os.kill(os.getpid(), 11)")
    world.failure()
    left = int(world.lines()[0])

    until(lambda: not is_alive(left))


def test_the_folder_of_a_process_goes_and_its_log_stays(world: World, home: Path) -> None:
    world.run("print('a\\nlast words', end='', flush=True); " + SERVE)
    until(lambda: world.having("ready"))
    world.fleet.remove("t", "g")
    until(lambda: not world.fleet.observe())
    world.fleet.close()

    assert not any(run_dir.exists() for run_dir in world.started)
    assert World(home).lines() == ["a", "last words"]


def test_an_end_is_noted_in_the_log(world: World) -> None:
    world.run("raise SystemExit(7)")
    until(lambda: len(world.lines()) >= 1)

    assert world.lines()[0] == (
        "[hookline] The process ended with exit code 7 while it was starting. "
        "It is started again in 0.2 s."
    )


def test_a_process_that_prints_without_end_disturbs_nothing(world: World, home: Path) -> None:
    world.run(
        "import os; pathlib = __import__('pathlib'); pathlib.Path('ready').touch()\n"
        "while True: os.write(1, b'x' * 65536)"
    )
    until(lambda: world.having("ready"))
    until(lambda: len(list(home.rglob("*.log"))) == 4)
    world.fleet.ensure(Group("t", "quiet", "stream", 0))
    world.fleet.remove("t", "g")
    until(lambda: not world.fleet.observe())

    assert sum(path.stat().st_size for path in home.rglob("*.log")) < 6 * 1024 * 1024


def test_another_device_needs_another_process(world: World) -> None:
    world.run(SERVE)
    until(lambda: world.having("ready"))
    before = world.having("ready")[0].process_id
    world.fleet.ensure(Group("t", "g", "stream", 1, device="gpu", gpus=1))

    until(
        lambda: (
            [p.process_id for p in world.having("ready")] not in ([], [before])
            and len(world.fleet.observe()) == 1
        )
    )


def test_a_listener_that_raises_does_not_stop_the_fleet(world: World) -> None:
    world.fleet.on_change = lambda: 1 / 0
    world.run(SERVE)
    until(lambda: world.having("ready"))
    world.fleet.remove("t", "g")

    until(lambda: not world.fleet.observe())


def test_close_ends_every_process_and_refuses_new_ones(home: Path) -> None:
    world = World(home)
    world.run(SERVE, count=3)
    until(lambda: len(world.having("ready")) == 3)
    world.fleet.close()
    world.fleet.close()

    assert list(world.fleet.observe()) == []
    with pytest.raises(Unavailable, match="shutting down"):
        world.run(SERVE)


def test_a_fleet_that_was_never_used_closes_at_once(home: Path) -> None:
    World(home).fleet.close()

    assert not home.exists()


def test_a_long_home_still_gives_sockets_that_can_be_bound(tmp_path: Path) -> None:
    world = World(tmp_path / ("x" * 100))
    bind = "import socket; socket.socket(socket.AF_UNIX).bind(sys.argv[1]); "
    world.run("import sys; sys.argv.append('replica.sock'); " + bind + SERVE)
    until(lambda: world.having("ready"))
    address = world.having("ready")[0].address.removeprefix("unix:")

    assert Path(address).is_socket()
    assert len(address) <= 107
    world.fleet.close()


def test_children_die_with_a_host_that_is_killed(home: Path, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(home), str(told)], env=trusted_environment()
    )
    until(lambda: told.exists() and told.read_text())
    pid = int(told.read_text())
    assert is_alive(pid)
    host.kill()
    host.wait()

    until(lambda: not is_alive(pid), timeout_s=5)


def test_one_of_several_goes_on_until_nobody_asks_it_any_more(home: Path) -> None:
    world = World(home, linger_s=3600)
    handler = "signal.signal(15, lambda *_: [print('asked to end', flush=True), sys.exit(0)]); "
    script = "import signal, sys; " + handler + SERVE
    try:
        world.run(script, count=2)
        until(lambda: len(world.having("ready")) == 2)
        told: list[int] = []
        world.fleet.on_change = lambda: told.append(len(world.having("draining")))
        world.run(script, count=1)
        until(lambda: 1 in told)

        assert [len(world.having(state)) for state in ("ready", "draining")] == [1, 1]
        assert world.lines() == []
        world.fleet.remove("t", "g")
        until(lambda: world.fleet.observe() == [])
        assert world.lines() == ["asked to end"] * 2
    finally:
        world.fleet.close()


def test_one_that_has_gone_on_long_enough_is_asked_to_end(home: Path) -> None:
    world = World(home, linger_s=0.05)
    try:
        world.run(SERVE, count=2)
        until(lambda: len(world.having("ready")) == 2)
        world.run(SERVE, count=1)
        until(lambda: len(world.fleet.observe()) == 1)
    finally:
        world.fleet.close()
