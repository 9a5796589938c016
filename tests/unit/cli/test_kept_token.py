"""A presigned token is shown once: nothing that ends `deploy --wait` early may lose it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner, Result

from hookline.cli.main import HOOKLINE
from hookline.cli.shell import Shell
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_api import TOKEN, FakeApi

ROOT = Path(__file__).parents[3]
DEPLOY = ("model", "deploy", "2", "--wait", "-o", "json")
KEPT = (
    f"The token of stream 1 is {TOKEN}. It is shown once; "
    "`hookline stream rotate 1` makes another.\n"
)


@pytest.fixture(autouse=True)
def model(api: FakeApi) -> None:
    api.models[2] = {"id": 2, "name": "digits"}


def deploy_until(
    method: str, path: str, number: signal.Signals, api: FakeApi, environ: dict[str, str]
) -> Result:
    """Deploy, and get a signal as the answer to that request arrives."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        answer = api.transport.handle_request(request)
        if (request.method, request.url.path) == (method, path):
            os.kill(os.getpid(), number)
        return answer

    shell = Shell(environ, transport=httpx2.MockTransport(handle))
    return CliRunner().invoke(HOOKLINE, DEPLOY, obj=shell, prog_name="hookline")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_waiting_tells_the_token(
    number: signal.Signals, code: int, api: FakeApi, environ: dict[str, str]
) -> None:
    result = deploy_until("GET", "/v1/streams/1", number, api, environ)

    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.strip().endswith(KEPT.strip())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_the_token_came_says_how_to_have_one(
    number: signal.Signals, code: int, api: FakeApi, environ: dict[str, str]
) -> None:
    result = deploy_until("POST", "/v1/streams", number, api, environ)

    assert result.exit_code == code
    assert "`hookline stream list`" in result.stderr
    assert "`hookline stream rotate ID`" in result.stderr


def test_a_signal_has_its_former_meaning_after_the_wait(
    api: FakeApi, environ: dict[str, str]
) -> None:
    former = signal.getsignal(signal.SIGTERM)

    deploy_until("GET", "/v1/streams/1", signal.SIGTERM, api, environ)

    assert signal.getsignal(signal.SIGTERM) == former


def test_a_wait_that_expires_tells_the_token(hookline: Call) -> None:
    result = hookline(*DEPLOY, "--timeout", "0")

    assert (result.exit_code, result.stdout) == (9, "")
    assert KEPT in result.stderr


def test_a_stream_that_fails_tells_the_token(api: FakeApi, hookline: Call) -> None:
    api.statuses = [{"status": "Failed", "failure": {"code": "hook_failed", "message": "Boom."}}]

    result = hookline(*DEPLOY)

    assert result.exit_code == 8
    assert KEPT in result.stderr


@pytest.mark.parametrize("wait", [True, False])
def test_an_answer_that_cannot_be_written_tells_the_token(*, wait: bool) -> None:
    words = [word for word in DEPLOY if wait or word != "--wait"]
    code = (
        "from tests.unit.cli.fake_api import *\nfrom hookline.cli.main import *\n"
        "api = FakeApi(models={2: {'id': 2}}, statuses=[{'status': 'Running'}])\n"
        "shell = Shell({'HOOKLINE_KEY': KEY}, transport=api.transport)\n"
        f"HOOKLINE.main({words}, obj=shell)"
    )
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": f"{ROOT}/layers/hookline/python:{ROOT}"},
            check=False,
            timeout=60,
        )

    assert done.returncode == 1
    assert KEPT in done.stderr


def test_a_token_that_was_printed_is_not_told_again(api: FakeApi, hookline: Call) -> None:
    api.statuses = [{"status": "Running"}]

    result = hookline(*DEPLOY)

    assert TOKEN in result.stdout
    assert TOKEN not in result.stderr
