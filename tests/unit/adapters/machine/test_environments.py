"""Environments: built once, whole or not at all, from wheels in a local folder."""

import fcntl
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hookline.adapters.machine.environments import environment_key, find_python, install
from hookline.core.errors import DeadlineExceeded, InvalidBundle, Unavailable


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(wheels: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "UV_FIND_LINKS": str(wheels),
        "UV_NO_INDEX": "1",
        "HOME": str(tmp_path),
        "HOOKLINE_KEY": "hk_secret",
    }


def make_wheel(folder: Path, name: str, version: str, body: str = "") -> Path:
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", body or f"VERSION = '{version}'\n")
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return path


def imported(site: Path, name: str) -> str:
    program = f"import {name}; print({name}.VERSION)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.strip()


def leftovers(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if path.name.startswith(".")]


def test_installs_the_pinned_version(wheels: Path, environ: dict[str, str], tmp_path: Path) -> None:
    make_wheel(wheels, "leaf", "1.0")
    make_wheel(wheels, "leaf", "2.0")
    site = install(["leaf==1.0"], tmp_path / "cache", environ=environ)
    assert imported(site, "leaf") == "1.0"
    assert leftovers(tmp_path / "cache") == []


def test_the_same_pins_are_built_once(
    wheels: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    make_wheel(wheels, "leaf", "1.0")
    make_wheel(wheels, "twig", "1.0")
    first = install(["leaf==1.0", "twig==1.0"], tmp_path / "cache", environ=environ)
    for wheel in wheels.iterdir():
        wheel.unlink()
    assert install(["twig==1.0", "leaf==1.0"], tmp_path / "cache", environ=environ) == first


def test_concurrent_builders_agree(wheels: Path, environ: dict[str, str], tmp_path: Path) -> None:
    make_wheel(wheels, "leaf", "1.0")

    def build(_: int) -> Path:
        return install(["leaf==1.0"], tmp_path / "cache", environ=environ)

    with ThreadPoolExecutor(4) as pool:
        sites = set(pool.map(build, range(4)))
    assert len(sites) == 1
    assert imported(sites.pop(), "leaf") == "1.0"
    assert leftovers(tmp_path / "cache") == []


def test_a_missing_version_names_it(wheels: Path, environ: dict[str, str], tmp_path: Path) -> None:
    make_wheel(wheels, "leaf", "1.0")
    with pytest.raises(InvalidBundle, match=r"leaf==9\.0"):
        install(["leaf==9.0"], tmp_path / "cache", environ=environ)
    assert leftovers(tmp_path / "cache") == []


def test_a_source_package_is_never_run(
    wheels: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    canary = tmp_path / "ran"
    with zipfile.ZipFile(wheels / "leaf-1.0.zip", "w") as source:
        source.writestr("leaf-1.0/setup.py", f"open({str(canary)!r}, 'w')")
    with pytest.raises(InvalidBundle):
        install(["leaf==1.0"], tmp_path / "cache", environ=environ)
    assert not canary.exists()


def test_a_wheel_with_another_hash_is_refused(
    wheels: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    wheel = make_wheel(wheels, "leaf", "1.0")
    good = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with pytest.raises(InvalidBundle, match="Hash mismatch"):
        install([f"leaf==1.0 --hash=sha256:{'0' * 64}"], tmp_path / "cache", environ=environ)
    site = install([f"leaf==1.0 --hash=sha256:{good}"], tmp_path / "cache", environ=environ)
    assert imported(site, "leaf") == "1.0"


def test_one_hash_asks_for_all(wheels: Path, environ: dict[str, str], tmp_path: Path) -> None:
    good = hashlib.sha256(make_wheel(wheels, "leaf", "1.0").read_bytes()).hexdigest()
    make_wheel(wheels, "twig", "1.0")
    with pytest.raises(InvalidBundle, match="hash"):
        install(
            [f"leaf==1.0 --hash=sha256:{good}", "twig==1.0"], tmp_path / "cache", environ=environ
        )


def test_a_marker_that_says_no_leaves_the_package_out(
    environ: dict[str, str], tmp_path: Path
) -> None:
    site = install(["leaf==1.0 ; python_version<'3.0'"], tmp_path / "cache", environ=environ)
    assert not (site / "leaf.py").exists()


def test_what_a_killed_builder_left_is_cleared(
    wheels: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    make_wheel(wheels, "leaf", "1.0")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    abandoned = tmp_path / "cache" / f".{environment_key(['leaf==1.0'], version)}-x" / "site"
    abandoned.mkdir(parents=True)
    site = install(["leaf==1.0"], tmp_path / "cache", environ=environ)
    assert imported(site, "leaf") == "1.0"
    assert leftovers(tmp_path / "cache") == []


@pytest.fixture
def held_lock(tmp_path: Path) -> Iterator[None]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    cache = tmp_path / "cache"
    cache.mkdir()
    with (cache / f"{environment_key(['leaf==1.0'], version)}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.usefixtures("held_lock")
def test_waiting_for_another_builder_has_an_end(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceeded):
        install(["leaf==1.0"], tmp_path / "cache", environ=environ, timeout_s=0.3)


def test_the_installer_sees_no_platform_secret(
    wheels: Path, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(wheels, "leaf", "1.0")
    spy = tmp_path / "spy"
    seen = tmp_path / "seen"
    spy.write_text(f"#!/bin/sh\nenv > {seen}\nfor last; do :; done\nmkdir $(dirname $last)/site\n")
    spy.chmod(0o755)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(spy))
    environ = environ | {"AWS_SECRET_ACCESS_KEY": "s3cret", "PATH": os.environ["PATH"]}
    install(["leaf==1.0"], tmp_path / "cache", environ=environ)
    assert "UV_NO_INDEX=1" in seen.read_text()
    assert "hk_secret" not in seen.read_text()
    assert "s3cret" not in seen.read_text()


def test_the_key_depends_on_pins_and_python_alone() -> None:
    assert environment_key(["a==1", "b==2"], "3.11") == environment_key(["b==2", "a==1"], "3.11")
    assert environment_key(["a==1"], "3.11") != environment_key(["a==2"], "3.11")
    assert environment_key(["a==1"], "3.11") != environment_key(["a==1"], "3.12")


def test_our_own_python_is_found_without_asking(tmp_path: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert find_python(version, tmp_path, environ={}) == os.path.realpath(sys.executable)


def test_a_python_that_is_nowhere_is_named(tmp_path: Path) -> None:
    environ = {"UV_OFFLINE": "1", "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with pytest.raises(Unavailable, match=r"There is no Python 3\.3 on this machine"):
        find_python("3.3", tmp_path, environ=environ)


def test_an_environment_for_another_interpreter_is_another(
    wheels: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    make_wheel(wheels, "leaf", "1.0")
    ours = install(["leaf==1.0"], tmp_path / "cache", environ=environ)
    other = install(["leaf==1.0"], tmp_path / "cache", environ=environ, python=sys.executable)
    assert ours != other
    assert imported(other, "leaf") == "1.0"
