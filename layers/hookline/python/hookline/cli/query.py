"""--query: the part of an answer that a JMESPath expression names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from hookline.core.errors import BadRequest

FORMS = ("table", "json", "jsonl")


class Query:
    """An expression, read before anything is sent."""

    def __init__(self, text: str) -> None:
        """Raise BadParameter for what is no expression."""
        import jmespath  # noqa: PLC0415 - only where there is a query
        from jmespath.exceptions import JMESPathError  # noqa: PLC0415 - as above

        self.text = text
        try:
            self._parsed = jmespath.compile(text)
        except JMESPathError as error:
            why = str(error).partition("\n")[0].rstrip(":. ")
            raise click.BadParameter(f"{text!r} is not a JMESPath expression. {why}.") from error

    def lines(self, answer: Any, form: str) -> Iterator[str]:
        """What it finds in an answer: texts bare and lists by line, unless `form` says json.

        Raise BadRequest where it cannot be applied to such an answer.
        """
        if form not in FORMS:
            raise BadRequest(
                f"--query does not go with -o {form}.", hint=f"Give {', '.join(FORMS)}."
            )
        found = self._found(answer)
        if form == "json":
            yield json.dumps(found, indent=2, ensure_ascii=False)
        elif isinstance(found, list):
            yield from (_line(each, form) for each in found)
        else:
            yield _line(found, form)

    def _found(self, answer: Any) -> Any:
        from jmespath.exceptions import JMESPathError  # noqa: PLC0415 - only here

        try:
            return self._parsed.search(answer)
        except JMESPathError as error:
            raise BadRequest(
                f"The query {self.text!r} cannot be applied.",
                why=f"{error}.",
                hint="-o json shows what it is applied to.",
            ) from error


def _line(found: Any, form: str) -> str:
    from hookline.cli.output import printable  # noqa: PLC0415 - brings msgspec

    if form == "table" and isinstance(found, str):
        return printable(found)
    return json.dumps(found, ensure_ascii=False)
