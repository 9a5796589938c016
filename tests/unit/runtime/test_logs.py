"""Log lines: whole, parseable, without secrets, whatever is logged."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

from hookline.core.secrets import new_key, new_token
from hookline.runtime import logs


def line(message: str, **extra: object) -> str:
    record = logging.makeLogRecord({"name": "t", "msg": message, "levelname": "INFO", **extra})
    return logs.JsonLines().format(record)


def test_an_event_is_one_json_object_with_its_extras() -> None:
    event = json.loads(line("batch_done", items=8))

    assert (event["event"], event["level"], event["items"]) == ("batch_done", "INFO", 8)


def test_no_text_can_forge_a_second_line() -> None:
    text = 'x\n{"level":"ERROR"}\r\u2028\x1b[31m\ud800'

    written = line("event", what=text)

    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written)["what"] == text


def test_keys_and_tokens_are_cut() -> None:
    key, token = new_key(), new_token()

    written = line(f"used {key}", token=token)

    assert key not in written
    assert token not in written
    assert f"{token[:4]}" in written


def test_the_request_id_comes_along() -> None:
    logs.request_id.set("r-1")
    try:
        assert json.loads(line("event"))["request_id"] == "r-1"
    finally:
        logs.request_id.set("")


def test_closing_the_standard_descriptors_does_not_redirect_log_lines() -> None:
    code = """
import logging, os
from hookline.runtime import logs
logs.configure("INFO")
os.closerange(0, 3)
taken = [os.open("/dev/null", os.O_RDWR) for _ in range(3)]
logging.getLogger("t").info("still_here")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert json.loads(done.stderr.splitlines()[0])["event"] == "still_here"
