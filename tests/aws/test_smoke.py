"""A deployed tenant does the main job. It wants an account: `make smoke-aws TENANT=acme`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.aws import steps

ROOT = Path(__file__).parents[2]
PATIENCE_S = 900.0  # an image is pulled, a task is started, a worker is scaled from zero
pytestmark = [pytest.mark.aws, pytest.mark.timeout(3600)]


@dataclass(frozen=True)
class Tenant:
    """A deployed tenant, with a profile of its own: those of the person are left alone."""

    name: str
    stage: str
    profiles: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HOOKLINE_")}
        chosen = {"XDG_CONFIG_HOME": str(self.profiles)}
        if arguments[0] != "tenant":
            chosen["HOOKLINE_PROFILE"] = f"{self.name}-{self.stage}"
        done = subprocess.run(
            [Path(sys.executable).with_name("hookline"), *arguments],
            env=kept | chosen,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S + 60,
        )
        assert done.returncode == 0, f"{arguments[:2]}: {done.stderr}"
        return done

    def ask(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "-o", "json").stdout)


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[Tenant]:
    """The tenant of SMOKE_TENANT, deployed first with SMOKE_DEPLOY=1, with a key for this test."""
    name, stage = os.environ.get("SMOKE_TENANT", ""), os.environ.get("SMOKE_STAGE", "dev")
    if not name:
        pytest.skip("No tenant is named: run `make smoke-aws TENANT=acme`.")
    if os.environ.get("SMOKE_DEPLOY") == "1":
        deploy(name, stage)
    tenant = Tenant(name, stage, tmp_path)
    tenant.run("tenant", "bootstrap", name, "--stage", stage, "--new-key")
    mine = max(tenant.ask("key", "list"), key=lambda key: key["created_at"])
    yield tenant
    tenant.run("key", "delete", mine["id"])


def deploy(name: str, stage: str) -> None:
    context = {"tenant": name, "hookline:stage": stage, "hookline:image": os.environ["SMOKE_IMAGE"]}
    words = [word for key, value in context.items() for word in ("-c", f"{key}={value}")]
    command = ["npx", "--no-install", "cdk", "deploy", "--all", "--require-approval", "never"]
    subprocess.run([*command, *words], cwd=ROOT, check=True, timeout=3000)


def test_a_deployed_tenant_does_the_main_job(tenant: Tenant) -> None:
    assert tenant.ask("user", "me") == {"tenant": tenant.name, "user": "admin", "role": "admin"}
    steps.everything(tenant, patience_s=PATIENCE_S)
