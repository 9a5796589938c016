"""What user code can and cannot do inside, tried by hostile code in child processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.runtime import telemetry
from hookline.runtime.spec import SandboxSpec
from tests.replicas import post, read_answer, replica, until

PRELUDE = """
import ctypes, json, os, signal, subprocess, sys, time
import msgspec
from hookline.runtime import sandbox
from hookline.runtime.spec import SandboxSpec

spec = msgspec.json.decode(sys.argv[1], type=SandboxSpec)
code_dir, home = sys.argv[2:4]
"""
ENTER = """
level, code = sandbox.enter(spec, code_dir)

def fails(call, *args):
    try:
        call(*args)
    except OSError:
        return True
    return False

libc = ctypes.CDLL(None, use_errno=True)
"""


@dataclass
class Box:
    """A platform home with a secret, and a code folder; `run` executes code in the sandbox."""

    home: Path
    code: Path

    def spec(self, **settings: Any) -> SandboxSpec:
        defaults: dict[str, Any] = {"mode": "on", "hide": (str(self.home),)}
        return SandboxSpec(**defaults | settings)

    def start(self, body: str, spec: SandboxSpec, *, prelude: str = "") -> subprocess.Popen[str]:
        script = "\n".join([PRELUDE, textwrap.dedent(prelude), ENTER, textwrap.dedent(body)])
        arguments = [msgspec.json.encode(spec).decode(), str(self.code), str(self.home)]
        return subprocess.Popen(
            [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True
        )

    def run(self, body: str, *, prelude: str = "", **settings: Any) -> Any:
        process = self.start(body, self.spec(**settings), prelude=prelude)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output
        return json.loads(output)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    home, code = tmp_path / "home", tmp_path / "code"
    (home / "run").mkdir(parents=True)
    (home / "secret").write_text("platform secret")
    (home / "model").write_text("weights")
    code.mkdir()
    (code / "labels.txt").write_text("cat\ndog\n")
    return Box(home, code)


@pytest.fixture(scope="module", autouse=True)
def _needs_namespaces() -> None:
    code = "from hookline.runtime import sandbox; print(sandbox.probe())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if done.stdout.strip() != "namespaces":
        pytest.skip("this machine refuses user namespaces")


def test_the_level_and_the_folder_of_the_hooks_are_told(box: Box) -> None:
    told = box.run("print(json.dumps([level, code, os.environ['HOOKLINE_CODE_DIR'], os.getcwd()]))")

    assert told == ["namespaces", "/code", "/code", "/code"]


def test_the_files_of_the_bundle_are_at_code_and_read_only(box: Box) -> None:
    told = box.run("""
        print(json.dumps({
            "labels": open("/code/labels.txt").read(),
            "is_write_refused": fails(open, "/code/labels.txt", "w"),
            "is_create_refused": fails(open, "/code/new", "w"),
        }))
    """)

    assert told == {"labels": "cat\ndog\n", "is_write_refused": True, "is_create_refused": True}


def test_a_hidden_folder_looks_empty_and_cannot_be_filled(box: Box) -> None:
    told = box.run("""
        print(json.dumps([os.listdir(home), fails(open, home + "/x", "w")]))
    """)

    assert told == [[], True]


def test_folders_inside_a_hidden_one_are_shown_or_writable_as_asked(box: Box) -> None:
    told = box.run(
        """
        with open(home + "/run/out", "w") as file:
            file.write("written inside")
        print(json.dumps({
            "names": sorted(os.listdir(home)),
            "model": open(home + "/model").read(),
            "is_model_kept": fails(open, home + "/model", "w"),
        }))
        """,
        show=(str(box.home / "model"),),
        writable=(str(box.home / "run"),),
    )

    assert told == {"names": ["model", "run"], "model": "weights", "is_model_kept": True}
    assert (box.home / "run" / "out").read_text() == "written inside"


def test_the_machine_is_read_only_and_temporary_folders_are_private(box: Box) -> None:
    outside = Path("/tmp", f"hookline-test-{os.getpid()}")
    outside.write_text("another process")
    try:
        told = box.run("""
            open("/tmp/mine", "w").close()
            open("/dev/shm/mine", "w").close()
            print(json.dumps({
                "tmp": sorted(os.listdir("/tmp")),
                "kept": [fails(open, path, "w") for path in (
                    "/etc/hookline-test", "/usr/hookline-test", "/hookline-test",
                    sys.prefix + "/hookline-test", sandbox.__file__)],
                "disks": [name for name in os.listdir("/dev") if name.startswith(("sd", "vd"))],
            }))
        """)
    finally:
        outside.unlink()

    assert outside.name not in told["tmp"]
    assert "mine" in told["tmp"]
    assert all(told["kept"])
    assert told["disks"] == []
    assert not Path("/tmp/mine").exists()


def test_a_hidden_folder_cannot_be_uncovered(box: Box) -> None:
    told = box.run("""
        NEW_USER, NEW_MOUNTS, DETACH, BIND = 0x10000000, 0x20000, 2, 4096
        tries = [
            libc.umount2(home.encode(), DETACH),
            libc.mount(b"/", b"/tmp", b"", BIND, None),
            libc.unshare(NEW_MOUNTS),
            libc.unshare(NEW_USER | NEW_MOUNTS),
            libc.chroot(b"/tmp"),
        ]
        status = open("/proc/self/status").read().splitlines()
        rights = [line.split()[1] for line in status if line.startswith("Cap")]
        print(json.dumps({
            "tries": tries,
            "names": os.listdir(home),
            "rights": sorted(set(rights)),
            "is_stuck": [line for line in status if line.startswith("NoNewPrivs")],
        }))
    """)

    assert told["tries"] == [-1] * 5
    assert told["names"] == []
    assert told["rights"] == ["0000000000000000"]
    assert told["is_stuck"] == ["NoNewPrivs:\t1"]


def test_the_kernel_cannot_be_steered_through_proc(box: Box) -> None:
    told = box.run("""
        knobs = ("sys/kernel/core_pattern", "sys/user/max_user_namespaces", "sysrq-trigger")
        print(json.dumps([fails(open, "/proc/" + knob, "w") for knob in knobs]))
    """)

    assert told == [True] * 3


def test_no_process_outside_can_be_seen_or_killed(box: Box) -> None:
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        told = box.run(f"""
            pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
            print(json.dumps({{
                "pids": len(pids),
                "is_kill_refused": fails(os.kill, {victim.pid}, signal.SIGKILL),
                "is_environ_hidden": fails(open, "/proc/{os.getpid()}/environ"),
                "is_launcher_hidden": fails(os.kill, {os.getpid()}, 0),
            }}))
        """)
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()

    assert told["is_kill_refused"]
    assert told["is_environ_hidden"]
    assert told["is_launcher_hidden"]
    assert told["pids"] <= 3


def test_limits_hold(box: Box) -> None:
    told = box.run(
        """
        import resource
        def refused():
            try:
                bytearray(1 << 30)
            except MemoryError:
                return True
        files = resource.getrlimit(resource.RLIMIT_NOFILE)
        core = resource.getrlimit(resource.RLIMIT_CORE)
        print(json.dumps([refused(), files, core]))
        """,
        max_memory_bytes=1 << 29,
        max_open_files=77,
    )

    assert told == [True, [77, 77], [0, 0]]


BECOME_NOBODY = """
from hookline.runtime import kernel, lifecycle
import hookline.runtime.rootfs, select
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
lifecycle.prctl(4, 1)  # PR_SET_DUMPABLE, which setuid took and a login would give back
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_is_confined_too(box: Box) -> None:
    for folder in (box.home, *box.home.parents[:-2]):
        folder.chmod(0o755)
    told = box.run(
        """
        def forks():
            children = []
            try:
                for _ in range(50):
                    children.append(os.fork())
                    if children[-1] == 0:
                        signal.pause()
            except BlockingIOError:
                return len(children)
        print(json.dumps([level, os.getuid(), os.listdir(home), os.listdir("/code"), forks()]))
        """,
        prelude=BECOME_NOBODY,
        max_processes=10,
    )

    assert told[:4] == ["namespaces", 65534, [], ["labels.txt"]]
    assert told[4] < 10


def test_off_only_limits(box: Box) -> None:
    told = box.run(
        """
        import resource
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        print(json.dumps([level, code, os.environ["HOOKLINE_CODE_DIR"], limit, os.listdir(home)]))
        """,
        mode="off",
        max_open_files=99,
    )

    assert told[:4] == ["off", str(box.code), str(box.code), 99]
    assert "secret" in told[4]


REFUSE_NAMESPACES = """
from hookline.runtime import kernel
def refuse(namespaces):
    raise PermissionError("refused")
kernel.unshare = refuse
"""


def test_auto_goes_on_without_namespaces_where_they_are_refused(box: Box) -> None:
    told = box.run(
        """
        status = open("/proc/self/status").read()
        print(json.dumps([level, code, "NoNewPrivs:\\t1" in status]))
        """,
        prelude=REFUSE_NAMESPACES,
        mode="auto",
    )

    assert told == ["none", str(box.code), True]


def test_on_fails_clearly_where_namespaces_are_refused(box: Box) -> None:
    told = box.run(
        "print('unreachable')",
        prelude=REFUSE_NAMESPACES
        + textwrap.dedent("""
            from hookline.core.errors import Unavailable
            try:
                sandbox.enter(spec, code_dir)
            except Unavailable as error:
                print(json.dumps(str(error)))
                sys.exit(0)
        """),
    )

    assert told.startswith("This machine cannot sandbox hooks.")


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("sys.exit(0)", 0),
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("ctypes.string_at(0)", 139),
    ],
)
def test_the_launcher_sees_how_it_ended(box: Box, ending: str, status: int) -> None:
    process = box.start(ending, box.spec())
    process.communicate(timeout=30)

    assert process.returncode == status


def test_sigterm_reaches_user_code_once(box: Box) -> None:
    process = box.start(
        """
        got = []
        signal.signal(signal.SIGTERM, lambda *_: got.append(1))
        print("up", flush=True)
        while not got:
            time.sleep(0.01)
        time.sleep(0.1)
        print(len(got), flush=True)
        """,
        box.spec(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"

    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)

    assert (output, process.returncode) == ("1\n", 0)


def _named(marker: str) -> list[int]:
    """The processes whose command line has `marker`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if marker.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:  # it ended meanwhile
                continue
    return found


LAUNCHER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
print("started", flush=True)
time.sleep(60)
"""


def _kill_launcher(chain: str, arguments: list[str], started: Callable[[], object]) -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, chain, *arguments], stdout=subprocess.PIPE
    )
    assert launcher.stdout is not None
    launcher.stdout.readline()
    until(started, "the chain")
    launcher.kill()
    launcher.wait()
    launcher.stdout.close()


def test_killing_the_parent_kills_the_whole_chain(box: Box) -> None:
    marker = f"marker-{os.getpid()}-{time.monotonic_ns()}"
    chain = f"""{PRELUDE}
from hookline.runtime import lifecycle
lifecycle.die_with_parent(os.getppid())
{ENTER}
subprocess.Popen(["sleep", "1000.5"], start_new_session=True)  # a daemon left behind
open(home + "/run/up", "w").close()
time.sleep(60)
"""
    spec = box.spec(writable=(str(box.home / "run"),))
    arguments = [msgspec.json.encode(spec).decode(), str(box.code), str(box.home), marker]

    _kill_launcher(chain, arguments, (box.home / "run" / "up").exists)

    until(lambda: not _named(marker), "the end of outer, init and main")
    until(lambda: not _named("1000.5"), "the end of the daemon")


HOOKS = """
import os

labels = open("/code/labels.txt").read()

def init(prm):
    return object()

def preprocess(input, model):
    return input

def predict(data, model):
    return "|".join([labels, ",".join(sorted(os.environ)), str(os.path.exists(data.decode()))])

def postprocess(output, raw_input):
    return output
"""


def test_a_replica_serves_from_inside(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "replica"
    spec = SandboxSpec(mode="on", hide=(str(tmp_path / "home"),))
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "labels.txt").write_text("cat")
    (tmp_path / "home" / "secret").write_text("platform secret")
    with replica(folder, HOOKS, sandbox=spec) as process:
        process.wait_ready()
        with process.connect() as connection:
            connection.sendall(post(str(tmp_path / "home" / "secret").encode()))
            status, body = read_answer(connection)

        assert status == 200
        labels, names, is_secret_visible = body.decode().split("|")
        assert labels == "cat"
        assert is_secret_visible == "False"
        assert set(names.split(",")) <= {"PATH", "HOOKLINE_CODE_DIR", "LC_CTYPE", *telemetry.OFF}
        assert process.stop() == 0
