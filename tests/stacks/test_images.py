"""The runtime images: no Docker is here, so their rules are read and their commands run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from hookline.core.topology import PROCESSES
from stacks.devices import DEVICES
from tests.dockerfiles import FOLDER, ROOT, Stage, arguments, exec_form, read

WHOLE = ("cpu", "gpu")  # the others are made from the first
BUILD_TOOLS = re.compile(r"build-essential|gcc|g\+\+|make\b|-dev\b|pip install")


def final(image: str) -> Stage:
    return read(image)[-1]


def test_there_is_an_image_for_every_device() -> None:
    assert {path.suffix[1:] for path in FOLDER.glob("Dockerfile.*")} == set(DEVICES)


@pytest.mark.parametrize("image", DEVICES)
def test_bases_can_be_given_by_digest_and_are_tagged(image: str) -> None:
    stages, defaults = read(image), arguments(image)
    for stage in stages:
        if stage.base not in {one.name for one in stages}:
            base = defaults[stage.base.removeprefix("${").removesuffix("}")]
            assert ":" in base
            assert not base.endswith(":latest")


@pytest.mark.parametrize("image", DEVICES)
def test_nothing_is_added_that_is_not_locked(image: str) -> None:
    for stage in read(image):
        assert not stage.all("ADD")
        for command in stage.all("RUN"):
            installs = len(re.findall(r"pip install", command))
            assert command.count("--require-hashes") == installs


@pytest.mark.parametrize("image", DEVICES)
def test_the_final_stage_has_no_build_tools(image: str) -> None:
    assert not [command for command in final(image).all("RUN") if BUILD_TOOLS.search(command)]


@pytest.mark.parametrize("image", DEVICES)
def test_an_image_does_not_run_as_root(image: str) -> None:
    users = final(image).all("USER")
    if image in WHOLE or users:
        user, _, group = users[-1].partition(":")
        assert int(user) >= 10_000
        assert int(group) >= 10_000


@pytest.mark.parametrize("image", WHOLE)
def test_an_image_runs_the_processes_of_the_table(image: str) -> None:
    stage = final(image)
    assert exec_form(stage.last("ENTRYPOINT")) == ["python", "-m", "hookline.container"]
    assert exec_form(stage.last("CMD"))[0] in {kind.name for kind in PROCESSES}
    assert stage.last("STOPSIGNAL") == "SIGTERM"


@pytest.mark.parametrize("image", sorted({*DEVICES} - {*WHOLE}))
def test_the_images_of_neuron_change_nothing_but_what_they_add(image: str) -> None:
    stage = final(image)
    assert arguments(image)["CPU_IMAGE"] == "hookline:cpu"
    bases = {one.name: one.base for one in read(image)}
    assert bases.get(stage.base, stage.base) == "${CPU_IMAGE}"
    for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK", "EXPOSE", "STOPSIGNAL", "ENV"):
        assert not stage.all(name)


@pytest.mark.usefixtures("cdk")
@pytest.mark.parametrize("image", WHOLE)
def test_an_image_is_asked_how_it_is_as_its_task_is(image: str) -> None:
    from stacks.constructs.tasks import _PING, PORT  # noqa: PLC0415 - needs the CDK

    stage = final(image)
    assert stage.last("EXPOSE") == str(PORT)
    assert exec_form(stage.last("HEALTHCHECK")) == ["python", "-c", _PING]


def test_the_images_of_cpu_and_gpu_differ_in_what_their_device_needs_alone() -> None:
    cpu, gpu = (
        {
            (each.name, each.text.replace("gpu", "cpu"))
            for stage in read(image)
            for each in stage.instructions
        }
        for image in WHOLE
    )
    assert sorted(name for name, _ in gpu - cpu) == ["ENV", "RUN"]
    assert [name for name, _ in cpu - gpu] == ["ENV"]


@pytest.mark.parametrize("image", WHOLE)
def test_a_lock_has_a_hash_for_every_package_and_the_versions_that_are_tested(image: str) -> None:
    locked, tested = pins(FOLDER / f"{image}.lock"), pins(ROOT / "requirements" / "run.lock")
    text = (FOLDER / f"{image}.lock").read_text()
    assert "boto3" in locked
    for pin in re.split(r"\n(?=\S)", text):
        assert "--hash=sha256:" in pin
    for name, versions in locked.items():
        assert versions <= tested.get(name, versions)
    missing = {"onnxruntime"} if image == "gpu" else set()
    browsers = {"httpx2-jsfetch"}
    assert tested.keys() - locked.keys() - browsers == missing


def pins(lock: Path) -> dict[str, set[str]]:
    """The versions of each package: there may be one per version of Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize("image", DEVICES)
def test_what_an_image_copies_is_there_and_sent_to_the_engine(image: str) -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    sent = [line[1:] for line in lines if line.startswith("!")]
    for stage in read(image):
        for text in stage.all("COPY"):
            sources = text.split()[:-1]
            if sources[0].startswith("--from="):
                continue
            for source in sources:
                assert any(fnmatch(source, pattern) for pattern in sent)
                # Neuron's locks are made by those who can reach AWS's index.
                assert (ROOT / source).exists() or image not in WHOLE


# --- the commands of the build ----------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first stage of the image for CPUs makes, under another root than `/`."""
    root = tmp_path_factory.mktemp("image")
    _need_packages(root)
    stage = read("cpu")[0]
    work = root / stage.last("WORKDIR").lstrip("/")
    work.mkdir()
    for each in stage.instructions:
        if each.name == "COPY":
            *sources, target = each.text.split()
            for source in sources:
                _copy(ROOT / source, work / target)
        elif each.name == "RUN":
            command = each.text.replace("/opt/", f"{root}/opt/")
            subprocess.run(["sh", "-euc", command], cwd=work, env=_environment(), check=True)
    return root


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _environment() -> dict[str, str]:
    """As this machine reaches the package index, and with nothing of this virtual environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def _need_packages(folder: Path) -> None:
    """Skip where no package can be fetched; a build server must be able to."""
    asked = subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--no-cache"),
            *("--system-certs", "--target", str(folder / "asked"), "idna"),
        ],
        env=_environment(),
        capture_output=True,
        check=False,
    )
    if asked.returncode and os.environ.get("CI") != "true":
        pytest.skip("No package index can be reached.")
    assert asked.returncode == 0, asked.stderr


def _python(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(root / "opt" / "hookline" / "bin" / "python"), *arguments],
        cwd=root,  # not the repository, whose package must not be found
        env={"HOME": str(root), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_locked_packages_run_a_replica_and_reach_aws(built: Path) -> None:
    done = _python(
        built,
        "-c",
        "import boto3, onnxruntime, hookline.runtime.replica as r, uv;"
        "print(r.__file__, uv.find_uv_bin())",
    )
    assert done.returncode == 0, done.stderr
    assert all(path.startswith(str(built)) for path in done.stdout.split())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_image_has_no_packages_of_development(built: Path) -> None:
    for module in ("pytest", "aws_cdk", "mypy", "moto"):
        assert _python(built, "-c", f"import {module}").returncode == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_entry_point_is_in_the_image(built: Path) -> None:
    _, *arguments = exec_form(final("cpu").last("ENTRYPOINT"))
    refused = _python(built, *arguments, "no-such-process")
    assert refused.returncode != 0
    assert "no-such-process" in refused.stderr
    assert "Traceback" not in refused.stderr
