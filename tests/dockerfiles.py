"""Reads Dockerfiles, as far as hookline's need it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "containers" / "runtime"


@dataclass(frozen=True, slots=True)
class Instruction:
    """`RUN`, `COPY` and so on; `text` is what follows, lines joined."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Stage:
    """`base` is what follows FROM; the `name` of the last one is empty."""

    base: str
    name: str
    instructions: Sequence[Instruction]

    def all(self, name: str) -> list[str]:
        return [each.text for each in self.instructions if each.name == name]

    def last(self, name: str) -> str:
        return self.all(name)[-1]


def read(image: str) -> list[Stage]:
    """The stages of an image's Dockerfile."""
    text = (FOLDER / f"Dockerfile.{image}").read_text()
    code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", code)
    found = [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line]
    starts = [at for at, each in enumerate(found) if each.name == "FROM"]
    stages = zip(starts, [*starts[1:], len(found)], strict=True)
    return [_stage(found[start:end]) for start, end in stages]


def _stage(instructions: Sequence[Instruction]) -> Stage:
    base, _, name = instructions[0].text.partition(" AS ")
    return Stage(base, name, instructions[1:])


def arguments(image: str) -> dict[str, str]:
    """The build arguments that FROM may use, with their defaults."""
    text = (FOLDER / f"Dockerfile.{image}").read_text().partition("\nFROM ")[0]
    return dict(re.findall(r"^ARG (\w+)=(.+)$", text, re.MULTILINE))


def exec_form(text: str) -> list[str]:
    """The words of a command that runs without a shell."""
    words: object = json.loads(text[text.index("[") :])
    assert isinstance(words, list)
    return cast("list[str]", words)
