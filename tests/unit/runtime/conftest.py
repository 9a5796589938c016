"""Bundles of hooks that leave nothing behind in the process that tests them."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

WriteBundle = Callable[..., Path]


@pytest.fixture
def write_bundle(tmp_path: Path) -> Iterator[WriteBundle]:
    """Write inference.py and other files into a code folder, as a deploy would."""
    path, modules = sys.path[:], set(sys.modules)
    code_dir = tmp_path / "code"

    def write(source: str, **files: str) -> Path:
        code_dir.mkdir(exist_ok=True)
        (code_dir / "inference.py").write_text(textwrap.dedent(source))
        for name, text in files.items():
            (code_dir / name).write_text(text)
        return code_dir

    yield write
    os.environ.pop("HOOKLINE_CODE_DIR", None)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(code_dir)):
            del sys.modules[name]
