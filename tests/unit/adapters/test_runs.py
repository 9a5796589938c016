from __future__ import annotations

import os
from pathlib import Path

import pytest

from hookline.adapters.embedded.runs import MAX_SOCKET_BYTES, prepare, run_folder
from hookline.core.errors import HooklineError
from tests.unit.adapters.folders import names


def socket_bytes(folder: Path) -> int:
    return len(os.fsencode(folder / "0123abcd" / "replica.sock"))


def test_processes_run_in_the_home_while_its_path_is_short() -> None:
    assert run_folder(Path("/home/ada/.local/share/hookline")) == Path(
        "/home/ada/.local/share/hookline/run"
    )


def test_a_long_home_gets_a_short_folder_of_its_own() -> None:
    one, two = (run_folder(Path("/" + "x" * 200 + name)) for name in "12")

    assert one != two
    assert one == run_folder(Path("/" + "x" * 200 + "1"))
    assert socket_bytes(one) <= MAX_SOCKET_BYTES


def test_the_longest_home_that_fits_is_used() -> None:
    fits = Path("/" + "x" * (MAX_SOCKET_BYTES - socket_bytes(Path("/run")) - 1))

    assert socket_bytes(fits / "run") == MAX_SOCKET_BYTES
    assert run_folder(fits) == fits / "run"
    assert run_folder(Path(f"{fits}x")) != Path(f"{fits}x/run")


def test_it_is_an_error_where_no_short_folder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("y" * 120)
    monkeypatch.setattr("tempfile.tempdir", str(long))

    with pytest.raises(HooklineError, match="too long a path"):
        run_folder(long)


def test_the_folder_starts_empty_and_private(tmp_path: Path) -> None:
    (tmp_path / "run" / "old").mkdir(parents=True)
    (tmp_path / "run").chmod(0o700)
    prepare(tmp_path / "run")
    prepare(tmp_path / "new" / "run")

    assert names(tmp_path / "run") == []
    assert (tmp_path / "new" / "run").stat().st_mode & 0o777 == 0o700


def test_a_folder_where_others_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")

    for name in ("open", "link"):
        with pytest.raises(HooklineError, match="not private"):
            prepare(tmp_path / name)
