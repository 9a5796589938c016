"""What is made once for a test run fails once, and says why to all who need it."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from tests.stacks.shared import once


def test_the_second_who_needs_it_reads_why_the_first_failed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    name = uuid4().hex

    def fails(_: Path) -> None:
        raise ValueError("no such stack")

    with pytest.raises(ValueError, match="no such stack"):
        once(tmp_path_factory, name, fails)
    with pytest.raises(pytest.fail.Exception, match="ValueError: no such stack"):
        once(tmp_path_factory, name, fails)
