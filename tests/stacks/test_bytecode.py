from __future__ import annotations

import importlib.util
import marshal
import platform
import subprocess
import sys
from pathlib import Path
from types import CodeType

from stacks import bytecode

OWN = ".".join(platform.python_version_tuple()[:2])
UNCHECKED = b"\x01\x00\x00\x00"  # the flags of PEP 552
HEADER_BYTES = 16


def compiled(folder: Path, source: str) -> Path:
    """A package in that folder, and its byte code."""
    package = folder / "ours"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(source)
    bytecode.compile_all(folder, sys.executable)
    return Path(importlib.util.cache_from_source(package / "__init__.py"))


def test_an_interpreter_of_the_version_is_found_or_there_is_none() -> None:
    python = bytecode.interpreter(OWN)
    assert python is not None
    told = subprocess.run([python, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout.startswith(f"Python {OWN}.")
    assert bytecode.interpreter("3.99") is None
    assert "uv python install 3.99" in bytecode.advice("3.99")


def test_byte_code_is_the_same_wherever_and_whenever_it_is_made(tmp_path: Path) -> None:
    one, other = (compiled(tmp_path / name, "x = 1\n").read_bytes() for name in ("a", "b"))
    assert one == other
    code = marshal.loads(one[HEADER_BYTES:])
    assert isinstance(code, CodeType)
    assert code.co_filename == "/opt/python/ours/__init__.py"


def test_byte_code_is_read_whatever_time_the_source_has(tmp_path: Path) -> None:
    made = compiled(tmp_path, "x = 1\n")
    (tmp_path / "ours" / "__init__.py").write_text("x = 2\n")
    code = "import ours; print(ours.x)"
    read = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert read.stdout == "1\n"
    assert made.read_bytes()[4:8] == UNCHECKED
