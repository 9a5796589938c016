"""Keeps a result: the file of a bench, which it also prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def publish(out: Path, lines: Sequence[str]) -> None:
    """Write the lines to the file and to the terminal."""
    text = "\n".join(lines).rstrip("\n") + "\n"
    out.write_text(text, encoding="utf-8")
    print(text)
