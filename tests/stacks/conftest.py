"""The stacks are synthesized once, and the tests read the templates."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.contract.adapters import require_moto
from tests.stacks.shared import once
from tests.stacks.templates import Template

ROOT = Path(__file__).parents[2]
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hookline:0.1.0-{device}"
TENANTS = ("acme", "globex")

Synthesize = Callable[..., dict[str, Template]]


@pytest.fixture(scope="session")
def cdk() -> ModuleType:
    """Skip where the CDK or the Node.js it runs on is absent; a build server must have both."""
    os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
    if os.environ.get("CI") == "true":
        return importlib.import_module("aws_cdk")
    if shutil.which("node") is None:
        pytest.skip("The CDK runs on Node.js, which is not installed.")
    found = pytest.importorskip("aws_cdk", reason="aws-cdk-lib is not installed: run `make check`")
    assert isinstance(found, ModuleType)
    return found


def context(**more: object) -> dict[str, object]:
    """What cdk.json says, and a deployment. No layer is bundled: that would fetch packages."""
    flags: dict[str, object] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return flags | {"hookline:image": IMAGE, "aws:cdk:bundling-stacks": []} | more


@pytest.fixture(scope="session")
def synthesized(cdk: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an assembly of two tenants, with cdk-nag's report in it."""
    from cdk_nag import AwsSolutionsChecks  # noqa: PLC0415 - absent on some machines

    from app import build  # noqa: PLC0415 - needs the CDK

    folder = tmp_path_factory.mktemp("cdk") / "out"
    values = context(
        **{
            "hookline:tenants": list(TENANTS),
            "hookline:linked-buckets": LINKED,
            "hookline:notify-topics": TOLD,
        }
    )
    app = cdk.App(context=values, outdir=str(folder), analytics_reporting=False)
    build(app)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app, verbose=True))
    try:
        app.synth()
    except RuntimeError:  # findings; the test that reads the report names them
        assert (folder / "validation-report.json").exists()
    return folder


TOLD: Mapping[str, list[str]] = {"acme": ["arn:aws:sns:eu-west-1:123456789012:done"]}


@pytest.fixture(scope="session")
def cloud_assembly(cdk: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the assembly that is deployed in moto."""
    del cdk
    require_moto()
    from tests.stacks.cloud.played import TENANTS as DEPLOYED  # noqa: PLC0415 - needs moto
    from tests.stacks.cloud.synthesis import synthesize  # noqa: PLC0415 - needs the CDK

    return once(tmp_path_factory, "cdk", lambda folder: synthesize(folder, DEPLOYED, LINKED, TOLD))


@pytest.fixture(scope="session")
def played(cloud_assembly: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tenant's day, changes and hardships; see tests/stacks/cloud/played.py."""
    from tests.stacks.cloud.played import play  # noqa: PLC0415 - needs moto

    return once(tmp_path_factory, "played", lambda folder: play(cloud_assembly, folder))


LINKED: Mapping[str, list[str]] = {"acme": ["photos"]}


@pytest.fixture(scope="session")
def templates(synthesized: Path) -> dict[str, Template]:
    """By what the stack is and whose: `Platform`, `Tenant-acme`."""
    return read(synthesized)


@pytest.fixture(scope="session")
def synthesize(cdk: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Synthesize:
    """Synthesize another deployment."""
    from app import build  # noqa: PLC0415 - needs the CDK

    def templates_of(**values: object) -> dict[str, Template]:
        folder = tmp_path_factory.mktemp("cdk") / "out"
        app = cdk.App(context=context(**values), outdir=str(folder), analytics_reporting=False)
        build(app)
        app.synth()
        return read(folder)

    return templates_of


def read(folder: Path) -> dict[str, Template]:
    found: dict[str, Template] = {}
    for path in sorted(folder.glob("*.template.json")):
        body: dict[str, Any] = json.loads(path.read_text())
        name = path.name.removesuffix(".template.json").split("-", 2)[2]
        found[name] = Template(name, body)
    return found
