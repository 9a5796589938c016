"""The command line as a whole: errors, exit codes, settings, help and its speed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click
import httpx2
import pytest

from hookline import __version__
from hookline.cli import exits
from hookline.cli.command import Command
from hookline.cli.main import HOOKLINE, NCLOUD, PLACES
from hookline.cli.reference import commands, reference
from hookline.cli.shell import Shell
from hookline.core import errors
from hookline.core.config import from_environment
from hookline.core.profiles import save
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_api import KEY, FakeApi, problem_response

ROOT = Path(__file__).parents[3]
EVERY = dict(commands(click.Context(HOOKLINE, info_name="hookline", obj=Shell({}))))


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.BadRequest, 2),
        (errors.NotFound, 3),
        (errors.Unauthenticated, 4),
        (errors.Forbidden, 4),
        (errors.Conflict, 5),
        (errors.IdempotencyMismatch, 5),
        (errors.InvalidInput, 6),
        (errors.InvalidModel, 6),
        (errors.TooLarge, 6),
        (errors.UnsupportedMediaType, 6),
        (errors.TooManyRequests, 7),
        (errors.Unavailable, 8),
        (errors.HookFailed, 8),
        (errors.HooklineError, 8),
        (errors.DeadlineExceeded, 9),
    ],
)
def test_an_error_of_the_cloud_has_its_exit_code(
    kind: type[errors.HooklineError], code: int, api: FakeApi, hookline: Call
) -> None:
    late = {"Retry-After": "3600"}
    api.script = [problem_response(kind("It went wrong.", hint="Do better."), **late)]

    result = hookline("model", "list")

    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("Error: It went wrong.")
    assert result.stderr.splitlines()[-1] == "Hint: Do better."


def test_an_unforeseen_fault_is_a_sentence_and_a_traceback_only_when_asked(
    api: FakeApi, hookline: Call, environ: dict[str, str]
) -> None:
    api.script = [ZeroDivisionError("surprise"), ZeroDivisionError("surprise")]

    quiet = hookline("model", "list")
    environ["HOOKLINE_LOG_LEVEL"] = "DEBUG"
    loud = hookline("model", "list")

    assert quiet.exit_code == loud.exit_code == 1
    assert "surprise" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr


def test_a_missing_file_is_named(hookline: Call) -> None:
    result = hookline("stream", "predict", "token", "nowhere.png")

    assert result.exit_code == 3
    assert "nowhere.png" in result.stderr


def test_an_unknown_verb_gets_the_nearest(hookline: Call) -> None:
    for words, meant in ((["modle"], "model"), (["batch", "predcit"], "predict")):
        result = hookline(*words)
        assert result.exit_code == 2
        assert f"Did you mean {meant}?" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["model", "show", "abc"],
        ["model", "show", "0"],
        ["model", "deploy", "2", "-a", "[1]"],
        ["model", "deploy", "2", "-a", "{"],
        ["model", "deploy", "2", "-f", "neither"],
        ["model", "import", "x.onnx", "--name", "n", "--mean", "a,b"],
        ["model", "list", "-o", "yaml"],
    ],
)
def test_a_malformed_line_is_a_usage_error_and_sends_nothing(
    words: list[str], api: FakeApi, hookline: Call
) -> None:
    assert hookline(*words).exit_code == 2
    assert not api.requests


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["model", "deploy", "2", "-a", '{"num_preds": 1e999}'], "1e999 is beyond every number"),
        (["model", "deploy", "2", "-a", '{"num_preds": NaN}'], "JSON has no NaN"),
        (["model", "deploy", "2", "--wait", "--timeout", "nan"], "'--timeout': Give a finite"),
        (["model", "deploy", "2", "--buckets", "8", "--pad", "x=inf"], "'--pad': Give a finite"),
        (["model", "import", "m", "--name", "m", "--mean", "0,inf,0"], "'--mean': Give a finite"),
        (["model", "import", "m", "--name", "m", "--scale", "nan"], "'--scale': Give a finite"),
        (["stream", "show", "2", "--watch", "--every", "nan"], "'--every': Give a finite"),
    ],
)
def test_a_number_without_an_end_is_a_usage_error_and_sends_nothing(
    words: list[str], why: str, api: FakeApi, hookline: Call
) -> None:
    result = hookline(*words)

    assert result.exit_code == 2
    assert why in result.stderr
    assert not api.requests


WATCH = ["volume", "watch", "56", "--model", "2"]
DEPLOY = ["model", "deploy", "2"]
PREDICT = ["batch", "predict", "2", "56"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["user", "create", "a b"], "'NAME': 'a b' is not 1 to 64 letters, digits"),
        (["key", "create", "--user", "-"], "'--user': '-' is not 1 to 64 letters"),
        (["volume", "link", ".", "--name", "a\tb"], "'--name': 'a\\tb' is not a text without"),
        (["volume", "link", ".", "--name", "a" * 201], "It has 201 characters; 200 at most."),
        (["volume", "link", ".", "--name", ""], "'--name': It is empty."),
        ([*WATCH, "--settle", "99999"], "'--settle': 99999 is not in the range 0<=x<=3600"),
        ([*WATCH, "--max-wait", "0"], "'--max-wait': 0 is not in the range 1<=x<=86400"),
        ([*WATCH, "--settle", "9", "--max-wait", "8"], "--max-wait is at least --settle."),
        ([*WATCH, "--marker", "a", "--settle", "9"], "jobs that no --marker or --manifest begins"),
        ([*WATCH, "--max-files", "10001"], "'--max-files': 10001 is not in the range 1<=x<=10000"),
        ([*WATCH, "--marker", "a/b"], "'--marker': 'a/b' is not the name of a file, without /"),
        ([*WATCH, "--suffix", ".a,b/"], "'--suffix': 'b/' is not the end of a file's name"),
        ([*WATCH, "--suffix", ",".join(f".{n}" for n in range(33))], "There are 33; 32 at most."),
        ([*WATCH, "--suffix", ","], "'--suffix': It names no suffix, as .jpg does."),
        ([*WATCH, "--settle", "soon"], "'--settle': 'soon' is not a valid whole number."),
        (["up", "--port", "web"], "'--port': 'web' is not a valid whole number."),
        ([*DEPLOY, "--wait", "--timeout", "long"], "'--timeout': 'long' is not a valid number."),
        (["stream", "show", "1", "--watch", "--every", "1e30"], "1e+30 is not in the range"),
        ([*DEPLOY, "--replicas", "33"], "'--replicas': 33 is not in the range 1<=x<=32"),
        ([*DEPLOY, "--min", "3", "--max", "2"], "--min is at most --max."),
        ([*DEPLOY, "--min", "33"], "'--min': 33 is not in the range 0<=x<=32"),
        ([*DEPLOY, "-g", "65"], "65 is not in the range 0<=x<=64"),
        ([*DEPLOY, "--target-in-flight", "513"], "513 is not in the range 1<=x<=512"),
        ([*DEPLOY, "--buckets", "8,1000001"], "There are 32 at most, of 1,000,000 at most."),
        ([*PREDICT, "--include", "colour"], "'colour' is not a column. Give error or timing"),
        ([*PREDICT, "--header"], "--header and --join-input are for --split lines."),
    ],
)
def test_what_the_cloud_would_refuse_is_told_in_the_commands_words(
    words: list[str], why: str, api: FakeApi, hookline: Call
) -> None:
    result = hookline(*words)

    assert result.exit_code == 2
    assert why in result.stderr
    assert not api.requests


@pytest.mark.parametrize(
    ("words", "listing"),
    [
        (["model", "deploy", "digits"], "hookline model list"),
        (["batch", "show", "-1x"], "hookline batch list"),
        (["volume", "upload", ".", "-i", "mine"], "hookline volume list"),
        (["volume", "watch", "1", "--model", "digits"], "hookline model list"),
    ],
)
def test_a_name_given_for_an_id_is_told_where_the_ids_are(
    words: list[str], listing: str, hookline: Call
) -> None:
    result = hookline(*words[:-1], "--", words[-1]) if words[-1][0] == "-" else hookline(*words)

    assert result.exit_code == 2
    assert f"{words[-1]!r} is not an id" in result.stderr
    assert listing in result.stderr


def test_numbers_are_asked_for_as_the_option_wants_them(hookline: Call) -> None:
    shape = hookline("model", "import", "m.onnx", "--name", "m", "--input-shape", "1,x")
    mean = hookline("model", "import", "m.onnx", "--name", "m", "--mean", "1,x")

    assert "whole numbers, as 1,3,224,224" in shape.stderr
    assert "as 0.485,0.456,0.406" in mean.stderr


@pytest.mark.parametrize(
    ("name", "code", "hint"),
    [
        ("nowhere.png", 3, "Check the path"),
        (".", 6, "hookline volume upload"),
        ("https://example.org/7.png", 3, "Download it"),
    ],
)
def test_what_cannot_be_predicted_says_what_to_do_instead(
    name: str, code: int, hint: str, api: FakeApi, hookline: Call
) -> None:
    result = hookline("stream", "predict", "token", name)

    assert result.exit_code == code
    assert name in result.stderr.splitlines()[0]
    assert hint in result.stderr.splitlines()[-1]
    assert not api.requests


def test_the_help_of_a_group_is_not_cut(hookline: Call) -> None:
    text = " ".join(hookline("stream", "--help").stdout.split())

    assert "..." not in text.partition("Commands:")[2]
    assert "Give a stream a new presigned token; the older ones stop working." in text


def test_an_unknown_setting_is_named(hookline: Call, environ: dict[str, str]) -> None:
    environ["HOOKLINE_ENPOINT"] = "x"

    result = hookline("model", "list")

    assert result.exit_code == 2
    assert "HOOKLINE_ENPOINT" in result.stderr


def test_flags_choose_the_cloud_before_and_after_the_verb(
    tmp_path: Path, api: FakeApi, hookline: Call, environ: dict[str, str]
) -> None:
    del environ["HOOKLINE_KEY"], environ["HOOKLINE_ENDPOINT"]
    home = {"HOOKLINE_HOME": str(tmp_path / "cloud")}
    save(from_environment(environ | home), "", "http://here:1", KEY)

    assert hookline("--home", str(tmp_path / "cloud"), "model", "list").exit_code == 0
    assert hookline("model", "list", "--home", str(tmp_path / "cloud")).exit_code == 0
    assert {request.url.host for request in api.requests} == {"here"}
    assert hookline("model", "list").exit_code == 4


def test_a_stored_key_is_not_sent_to_another_endpoint(
    api: FakeApi, hookline: Call, environ: dict[str, str]
) -> None:
    del environ["HOOKLINE_KEY"]
    save(from_environment(environ), "", "https://mine.example", KEY)

    assert hookline("--endpoint", "https://other.example", "model", "list").exit_code == 4
    assert "Authorization" not in api.requests[0].headers


def test_config_says_where_each_setting_came_from(hookline: Call, environ: dict[str, str]) -> None:
    del environ["HOOKLINE_ENDPOINT"], environ["HOOKLINE_KEY"]
    save(from_environment(environ), "", "http://stored", KEY)
    environ["HOOKLINE_PORT"] = "9000"

    rows = json.loads(hookline("config", "--profile", "default", "-o", "json").stdout)

    assert KEY not in str(rows)
    sources = {row["name"]: (row["value"], row["source"]) for row in rows}
    assert sources["endpoint"] == ("http://stored", "profile")
    assert sources["port"] == ("9000", "environment")
    assert sources["profile"] == ("default", "flag")
    assert sources["host"] == ("127.0.0.1", "default")
    assert hookline("config", "port").stdout == "9000\n"
    assert hookline("config", "prot").exit_code == 3


def test_config_shows_lists_as_they_are_given(hookline: Call, environ: dict[str, str]) -> None:
    assert hookline("config", "notify_networks").stdout == "\n"
    environ["HOOKLINE_NOTIFY_NETWORKS"] = "10.0.0.0/8,192.168.0.0/16"
    assert hookline("config", "notify_networks").stdout == "10.0.0.0/8,192.168.0.0/16\n"


def test_config_shows_the_endpoint_and_profile_that_hold_when_none_is_stored(
    hookline: Call, environ: dict[str, str]
) -> None:
    del environ["HOOKLINE_ENDPOINT"]

    assert hookline("config", "endpoint").stdout == "http://127.0.0.1:8700\n"
    assert hookline("config", "profile").stdout == "default\n"


def test_nothing_at_the_endpoint_is_told_with_the_mend(api: FakeApi, hookline: Call) -> None:
    api.script = [httpx2.ConnectError("refused")]

    result = hookline("model", "list")

    assert result.exit_code == 8
    assert "Nothing answers at http://127.0.0.1:8700." in result.stderr
    assert "hookline up" in result.stderr.splitlines()[-1]


def test_version_names_build_and_python(hookline: Call) -> None:
    assert hookline("--version").stdout.startswith(f"hookline {__version__} (Python 3.")


@pytest.mark.parametrize("path", EVERY)
def test_help_begins_with_two_examples_that_parse(path: str) -> None:
    command = EVERY[path]
    assert len(command.examples) >= 2
    for example in command.examples:
        words = shlex.split(example.partition("<")[0])[1:]
        assert leaf_of(words) is command, example


def leaf_of(words: list[str]) -> Command:
    """The command that these words parse to."""
    shell = Shell({})
    ctx = HOOKLINE.make_context("hookline", list(words), obj=shell)
    while not isinstance(ctx.command, Command):
        group = ctx.command
        assert isinstance(group, click.Group)
        _, command, rest = group.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        assert command is not None
        ctx = command.make_context(command.name, rest, parent=ctx)
    return ctx.command


def test_help_lists_examples_before_anything_else(hookline: Call) -> None:
    lines = hookline("model", "deploy", "--help").stdout.splitlines()

    assert lines[0].startswith("Usage: ")
    assert lines[2:4] == ["Examples:", "  hookline model deploy 2 --wait"]


@pytest.mark.parametrize("name", PLACES)
def test_the_short_help_is_the_commands_own(name: str) -> None:
    command = HOOKLINE.get_command(click.Context(HOOKLINE, obj=Shell({})), name)

    assert command is not None
    assert (command.help or "").split("\n")[0].rstrip() == PLACES[name][1]


def test_the_reference_is_current() -> None:
    page = ROOT / "docs" / "reference" / "cli.md"

    assert page.read_text() == reference(), (
        "python -m hookline.cli.reference > docs/reference/cli.md"
    )


def test_every_exit_code_is_in_the_reference() -> None:
    codes = {*exits.BY_CODE.values(), *exits.BY_STATUS.values(), exits.SERVER, exits.INTERRUPTED}

    assert all(f"| {code} | " in reference() for code in codes | {exits.FAILED_ROWS})


def run_python(code: str, *, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": f"{ROOT}/layers/hookline/python:{ROOT}"}
    environ.pop("PYTHONUNBUFFERED", None)  # people's shells have none
    return subprocess.run(
        [sys.executable, "-c", code],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
        check=False,
        timeout=60,
    )


def test_help_loads_nothing_heavy() -> None:
    heavy = ["httpx2", "msgspec", "rich", "numpy", "pydantic", "hookline.cli.model"]
    code = (
        "import sys\nfrom hookline.cli.main import HOOKLINE\n"
        "try: HOOKLINE.main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )

    assert run_python(code).stderr.strip() == "[]"


def test_a_reader_that_leaves_is_no_error() -> None:
    code = (
        "from tests.unit.cli.fake_api import *\nfrom hookline.cli.main import *\n"
        "api = FakeApi()\n"
        "api.models = {n: {'id': n, 'name': 'm' * 99, 'format': 'onnx', 'status': 'Ready'}"
        " for n in range(1, 9)}\n"
        "environ = {'HOOKLINE_KEY': KEY}\n"
        "HOOKLINE.main(['model', 'list'], obj=Shell(environ, transport=api.transport))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run_python(code, stdout=writer)
    finally:
        os.close(writer)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_stdout_is_one_sentence() -> None:
    code = (
        "from tests.unit.cli.fake_api import *\nfrom hookline.cli.main import *\n"
        "shell = Shell({'HOOKLINE_KEY': KEY}, transport=FakeApi().transport)\n"
        "HOOKLINE.main(['model', 'list'], obj=shell)"
    )
    with Path("/dev/full").open("wb") as full:
        done = run_python(code, stdout=full.fileno())

    assert done.returncode == 1
    assert done.stderr == "Error: No space left on device.\n"


def test_both_scripts_start() -> None:
    assert {root.name for root in (HOOKLINE, NCLOUD)} == {"hookline", "ncloud"}
