"""--query and -q: a part of the answer, for a shell or as JSON."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_api import TOKEN, FakeApi


@pytest.fixture(autouse=True)
def streams(api: FakeApi) -> None:
    api.models[2] = {"id": 2, "name": "digits"}
    for number, status in ((1, "Running"), (2, "Failed"), (3, "Running")):
        api.streams[number] = {"id": number, "model_id": 2, "status": status}


def test_a_text_is_printed_bare_for_a_shell(hookline: Call) -> None:
    result = hookline("model", "deploy", "2", "--query", "presigned_token")

    assert (result.exit_code, result.stdout) == (0, f"{TOKEN}\n")


def test_a_list_is_printed_by_line(hookline: Call) -> None:
    running = "[?status=='Running']"

    assert hookline("stream", "list", "--query", f"{running}.id").stdout == "1\n3\n"
    assert hookline("stream", "list", "--query", "[].status").stdout.split() == [
        "Running",
        "Failed",
        "Running",
    ]


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json_stays_json(form: str, hookline: Call) -> None:
    out = hookline("stream", "list", "-o", form, "--query", "[].{n: id, s: status}").stdout

    found = json.loads(out) if form == "json" else [json.loads(line) for line in out.splitlines()]
    assert found[1] == {"n": 2, "s": "Failed"}


def test_what_is_not_there_is_null(hookline: Call) -> None:
    assert hookline("stream", "show", "1", "--query", "colour").stdout == "null\n"


def test_a_query_stands_before_the_verb_too(hookline: Call) -> None:
    assert hookline("--query", "id", "stream", "show", "3").stdout == "3\n"


def test_a_text_cannot_steer_the_terminal(api: FakeApi, hookline: Call) -> None:
    api.streams[1]["status"] = "\x1b[2Jx"

    assert hookline("stream", "show", "1", "--query", "status").stdout == "\\x1b[2Jx\n"


@pytest.mark.parametrize("text", ["[", "", "a b", "@@"])
def test_what_is_no_expression_is_refused_before_anything_is_sent(
    text: str, api: FakeApi, hookline: Call
) -> None:
    result = hookline("model", "deploy", "2", "--query", text)

    assert result.exit_code == 2
    assert f"'--query': {text!r} is not a JMESPath expression." in result.stderr
    assert not api.requests


def test_a_query_that_does_not_fit_the_answer_is_told(hookline: Call) -> None:
    result = hookline("stream", "show", "1", "--query", "length(id)")

    assert result.exit_code == 2
    assert "The query 'length(id)' cannot be applied." in result.stderr
    assert "-o json" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("form", ["csv", "id"])
def test_a_query_has_no_columns_and_ids(form: str, hookline: Call) -> None:
    result = hookline("stream", "list", "-o", form, "--query", "[0]")

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"--query does not go with -o {form}." in result.stderr


def test_a_watched_stream_is_asked_each_time(api: FakeApi, hookline: Call) -> None:
    api.traffic = [{"in_flight": 4}, {"in_flight": 7}]
    words = ("stream", "show", "1", "--watch", "--every", "0.1", "--times", "2")

    assert hookline(*words, "--query", "in_flight").stdout == "4\n7\n"


def test_quiet_prints_ids(hookline: Call) -> None:
    assert hookline("stream", "list", "-q").stdout == "1\n2\n3\n"
    assert hookline("-q", "model", "deploy", "2").stdout == "4\n"
