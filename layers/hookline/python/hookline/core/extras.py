"""What comes with an extra of the package, and may not be installed."""

from __future__ import annotations

from importlib.util import find_spec

from hookline.core.errors import InvalidInput


def check_parquet() -> None:
    """Raise InvalidInput, saying how to get it, where Parquet cannot be read or written."""
    if find_spec("pyarrow") is None:
        raise InvalidInput(
            "This cloud cannot read or write Parquet.",
            why="pyarrow is not installed here.",
            hint="Install hookline[parquet] and start the cloud again, or use csv or jsonl.",
        )
