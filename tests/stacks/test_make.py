"""What `make synth` and `make lock` do beside the tests of the stacks."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from types import ModuleType

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stacks import counts
from tests.stacks.templates import Template

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers" / "hookline"
NODE_PACKAGES = "node_modules/.package-lock.json"


def wanted() -> list[Requirement]:
    return [Requirement(line) for line in (LAYER / "requirements.in").read_text().splitlines()]


def locked(path: Path) -> dict[str, str]:
    """Versions by name."""
    pins = re.findall(r"^([\w.-]+)==([\w.]+)", path.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


def needed(requirements: list[Requirement]) -> set[str]:
    """The names that these need in Lambda, and what those need in turn."""
    here = {name: str(value) for name, value in default_environment().items()}
    python = {"python_version": "3.14", "python_full_version": "3.14.0"}
    there = here | python | {"platform_machine": "aarch64", "extra": ""}
    found: set[str] = set()
    todo = list(requirements)
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        applies = one.marker is None or one.marker.evaluate(there)
        if applies and name not in found:
            found.add(name)
            todo += map(Requirement, metadata.requires(name) or ())
    return found


def test_the_lock_of_the_layer_has_what_it_needs_and_nothing_else() -> None:
    assert set(locked(LAYER / "requirements.txt")) == needed(wanted())


def test_the_lock_of_the_layer_has_versions_that_are_wanted_and_tested() -> None:
    layer, run = locked(LAYER / "requirements.txt"), locked(ROOT / "requirements" / "run.lock")
    assert {name: run[name] for name in layer} == layer
    for one in wanted():
        assert one.specifier.contains(layer[canonicalize_name(one.name)]), one


def test_the_layer_is_locked_for_where_it_runs(cdk: ModuleType) -> None:
    del cdk
    from stacks import bundling  # noqa: PLC0415 - needs the CDK

    python = bundling.RUNTIME.name.removeprefix("python")
    line = f"LAMBDA := --python-version {python} --python-platform {bundling.PLATFORM}"
    assert line in (ROOT / "Makefile").read_text().splitlines()


def test_an_assembly_is_counted_stack_by_stack(
    synthesized: Path, templates: dict[str, Template]
) -> None:
    lines = counts.report(synthesized)
    platform = sum(templates["Platform"].counts().values())
    assert f"{platform:5d}  Hookline-dev-Platform  (4 Subnet, " in "\n".join(lines)
    total = sum(sum(template.counts().values()) for template in templates.values())
    assert lines[-2] == f"{total:5d}  resources in {len(templates)} stacks; a stack may have 500"
    assert re.fullmatch(r" +\d+  assets, the layer \d+\.\d MB", lines[-1])


def test_synthesis_without_node_says_what_to_install(tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make is not None
    # -W: as if package.json had just changed.
    refused = subprocess.run(
        [make, "-C", str(ROOT), "-W", "package.json", NODE_PACKAGES],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode != 0
    assert "node is not installed. Install Node.js 20 or later with npm" in refused.stderr


def test_npm_takes_packages_from_where_its_settings_say() -> None:
    for name in ("Makefile", "package.json", "package-lock.json", "cdk.json"):
        assert "registry." not in (ROOT / name).read_text()
    assert not (ROOT / ".npmrc").exists()
