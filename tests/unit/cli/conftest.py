"""A command line that talks to the API in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hookline.cli.main import HOOKLINE, NCLOUD
from hookline.cli.shell import Shell
from tests.unit.cli.fake_api import KEY, FakeApi

Call = Callable[..., Result]


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "HOME": str(tmp_path / "user"),
        "HOOKLINE_KEY": KEY,
        "HOOKLINE_ENDPOINT": "http://127.0.0.1:8700",
    }


@pytest.fixture
def hookline(api: FakeApi, environ: dict[str, str]) -> Call:
    """Call `hookline` with these words; the result has exit_code, stdout and stderr."""

    def call(*words: str, stdin: bytes | None = None) -> Result:
        shell = Shell(environ, transport=api.transport)
        return CliRunner().invoke(HOOKLINE, words, obj=shell, input=stdin, prog_name="hookline")

    return call


@pytest.fixture
def ncloud(api: FakeApi, environ: dict[str, str]) -> Call:
    """Call `ncloud` with the words of one line."""

    def call(line: str) -> Result:
        shell = Shell(environ, transport=api.transport)
        return CliRunner().invoke(NCLOUD, line.split(), obj=shell, prog_name="ncloud")

    return call
