"""Types of words that people make up: what may be in them is checked before anything is sent."""

from __future__ import annotations

import re
from typing import Any

import click

from hookline.core import limits


class Wording(click.ParamType[str]):
    """A text as `pattern` of core.limits allows it, of `most_chars` at most."""

    name = "text"

    def __init__(self, pattern: str, most_chars: int) -> None:
        self.pattern, self.most_chars = pattern, most_chars

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if len(text) > self.most_chars:
            self.fail(f"It has {len(text)} characters; {self.most_chars} at most.", param, ctx)
        if not text:
            self.fail("It is empty.", param, ctx)
        if not re.fullmatch(self.pattern.removeprefix("^").removesuffix("$"), text):
            self.fail(f"{text!r} is not {limits.WORDS[self.pattern]}.", param, ctx)
        return text


NAME = Wording(limits.NAME, limits.MAX_NAME_CHARS)
USER_NAME = Wording(limits.USER_NAME, limits.MAX_NAME_CHARS)
FILE_NAME = Wording(limits.FILE_NAME, limits.MAX_FILE_NAME_CHARS)
SUFFIX = Wording(limits.SUFFIX, limits.MAX_SUFFIX_CHARS)
