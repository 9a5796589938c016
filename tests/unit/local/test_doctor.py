from __future__ import annotations

from pathlib import Path

import pytest

from hookline.core.config import Config
from hookline.local.doctor import checks


def test_a_machine_without_git_is_told_but_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    found = next(
        check
        for check in checks(Config(home=tmp_path, config_home=tmp_path))
        if check.name == "git"
    )

    assert found.ok
    assert "--custom-code-url" in found.detail
