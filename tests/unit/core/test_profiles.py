"""Profiles: private, apart for each home, and a stored key goes to its own endpoint alone."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from hookline.core.config import Config, from_environment
from hookline.core.errors import BadRequest, NotFound
from hookline.core.profiles import Profile, forget, load, path_of, save, stored_key


def config(tmp_path: Path, **settings: str) -> Config:
    environ = {f"HOOKLINE_{name.upper()}": value for name, value in settings.items()}
    return from_environment({"HOME": str(tmp_path), **environ})


def test_without_a_profile_the_cloud_is_this_machines(tmp_path: Path) -> None:
    assert load(config(tmp_path)) == Profile("http://127.0.0.1:8700", "")
    assert load(config(tmp_path, port="9000")).endpoint == "http://127.0.0.1:9000"
    assert stored_key(config(tmp_path)) == ""


def test_what_is_saved_is_loaded_and_private(tmp_path: Path) -> None:
    path = save(config(tmp_path), "", "http://here:1", "hk_1")

    assert load(config(tmp_path)) == Profile("http://here:1", "hk_1")
    assert path == tmp_path / ".config" / "hookline" / "config.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_home_of_its_own_has_its_profiles_inside(tmp_path: Path) -> None:
    own = config(tmp_path, home=str(tmp_path / "cloud"))
    save(config(tmp_path), "", "http://one", "hk_1")
    save(own, "", "http://two", "hk_2")

    assert path_of(own) == tmp_path / "cloud" / "profile.toml"
    assert load(own).key == "hk_2"
    assert load(config(tmp_path)).key == "hk_1"


def test_saving_leaves_the_rest_of_the_file(tmp_path: Path) -> None:
    save(config(tmp_path), "staging", "http://staging", "hk_s")
    path = path_of(config(tmp_path))
    path.write_text(f"# mine\n[profiles.default]\nendpoint = 'http://old'\n\n{path.read_text()}")

    save(config(tmp_path), "", "http://new", "hk_n")

    text = path.read_text()
    assert text.startswith("# mine\n")
    profiles = tomllib.loads(text)["profiles"]
    assert profiles["default"] == {"endpoint": "http://new", "key": "hk_n"}
    assert profiles["staging"]["key"] == "hk_s"


def test_flags_and_environment_win(tmp_path: Path) -> None:
    save(config(tmp_path), "", "http://here:1", "hk_1")
    save(config(tmp_path), "staging", "http://staging", "hk_s")

    assert load(config(tmp_path, profile="staging")).key == "hk_s"
    assert load(config(tmp_path, key="hk_2")) == Profile("http://here:1", "hk_2")
    assert load(config(tmp_path, endpoint="http://other")) == Profile("http://other", "")
    assert load(config(tmp_path, endpoint="http://here:1/")).key == "hk_1"


def test_a_profile_asked_for_by_name_must_exist(tmp_path: Path) -> None:
    save(config(tmp_path), "staging", "http://staging", "hk_s")

    with pytest.raises(NotFound, match="staging"):
        load(config(tmp_path, profile="stagign"))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = save(config(tmp_path), "", "http://here", "hk_1")
    path.write_text("[profiles")

    with pytest.raises(BadRequest, match=r"config\.toml is not valid TOML"):
        load(config(tmp_path))


def test_what_toml_could_not_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="cannot be stored"):
        save(config(tmp_path), 'a"]\n[x', "http://here", "hk_1")
    assert not path_of(config(tmp_path)).exists()


def test_a_forgotten_profile_leaves_the_others_and_no_empty_file(tmp_path: Path) -> None:
    save(config(tmp_path), "", "http://here:1", "hk_1")
    save(config(tmp_path), "prod", "https://there", "hk_2")

    forget(config(tmp_path))

    assert stored_key(config(tmp_path)) == ""
    assert load(config(tmp_path, profile="prod")) == Profile("https://there", "hk_2")
    forget(config(tmp_path, profile="prod"))
    assert not path_of(config(tmp_path)).exists()
    forget(config(tmp_path))


def test_a_profile_that_is_not_stored_yet_has_no_key(tmp_path: Path) -> None:
    assert stored_key(config(tmp_path, profile="new")) == ""
