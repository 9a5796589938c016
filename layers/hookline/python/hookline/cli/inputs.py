"""Files to predict that a user names: found, or refused before anything else is done."""

from __future__ import annotations

from pathlib import Path

from hookline.core.errors import InvalidInput, NotFound


def input_file(name: str) -> Path:
    """Where the file is, without links on the way: a sandbox shows that path alone.

    Raise NotFound, or InvalidInput for a folder.
    """
    path = Path(name)
    if path.is_dir():
        raise InvalidInput(
            f"{name} is a folder.",
            hint="Name a file; `hookline volume upload` and `batch predict` take whole folders.",
        )
    if not path.exists():
        is_url = "://" in name
        mend = "Download it first." if is_url else "Check the path of the file to predict."
        raise NotFound(f"There is no file {name}.", hint=mend)
    return path.resolve() if path.is_file() else path.absolute()  # a pipe has no other name
