"""up, down and doctor, where no whole cloud is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hookline.core.config import Config
from hookline.core.errors import BadRequest
from hookline.local import doctor, up
from hookline.local.lock import HomeLock
from tests.polling import until

SLOW_CLOUD = """\
import os, sys, time
from pathlib import Path
from hookline.core.config import Config
from hookline.local import up

home = Path(sys.argv[1])

def never_ready(config, on_ready):
    (home / "pid").write_text(str(os.getpid()))
    time.sleep(60)

up._run = never_ready
up.run(Config(home=home, config_home=home), detach=True)
"""

HOLDER = """\
import sys
from pathlib import Path
from hookline.local.lock import HomeLock

with HomeLock.taken(Path(sys.argv[1])):
    sys.stdin.read()
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(home=tmp_path / "home", config_home=tmp_path, port=1)


def test_ctrl_c_while_a_cloud_starts_in_the_background_leaves_none(tmp_path: Path) -> None:
    starting = subprocess.Popen(
        [sys.executable, "-c", SLOW_CLOUD, str(tmp_path)], stderr=subprocess.DEVNULL
    )
    told = tmp_path / "pid"
    until(lambda: told.is_file() and told.read_text())
    starting.send_signal(signal.SIGINT)
    starting.wait(20)

    until(lambda: not is_running(int(told.read_text())))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_doctor_claims_no_port_for_a_cloud_that_may_have_another(config: Config) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(config.home)], stdin=subprocess.PIPE
    )
    until(lambda: HomeLock.holder(config.home))
    check = next(check for check in doctor.checks(config) if check.name == "port")
    holder.communicate(timeout=20)

    assert (check.ok, check.detail) == (True, "hookline is up")


def test_a_folder_of_others_is_not_purged(config: Config) -> None:
    config.home.mkdir()
    (config.home / "thesis.txt").write_text("years of work")

    with pytest.raises(BadRequest, match="Delete it yourself"):
        up.down(config, purge=True)

    assert (config.home / "thesis.txt").exists()


def test_purging_what_is_not_there_says_so(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert up.down(config, purge=True) == 0
    assert capsys.readouterr().err == f"There is nothing to remove at {config.home}.\n"
