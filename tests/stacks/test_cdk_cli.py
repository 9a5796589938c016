"""The CDK's own command line bootstraps an account, deploys and destroys, against moto's server.

It is the platform that is deployed. moto stops at the storage of a tenant: the name it gives a FIFO
queue does not end in .fifo, as that of CloudFormation does; and it has no HTTP API. It forgets a
stack that is destroyed but cannot delete a network, so what else is gone cannot be seen here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.contract.adapters import require_moto

ROOT = Path(__file__).parents[2]
CDK = ROOT / "node_modules" / ".bin" / "cdk"
APP = f"{sys.executable} app.py"
ACCOUNT, REGION = "123456789012", "us-east-1"
PLATFORM = "Hookline-dev-Platform"
OURS = {"Name": "tag:hookline:stage", "Values": ["dev"]}
CONTEXT = ("-c", "tenant=acme", "-c", "hookline:image=registry.example/hookline:1")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    # It leaves out what it does not know.
    pytest.mark.filterwarnings("ignore:Tried to parse .* but it's not supported by moto"),
]


@dataclass(frozen=True)
class Account:
    """An account that is moto's, and the `cdk` that speaks to it."""

    endpoint: str
    folder: Path

    def cdk(self, *words: str) -> str:
        done = subprocess.run(
            [CDK, *words, *CONTEXT, "--app", APP, "--output", str(self.folder / "cdk.out"), "--ci"],
            env={**os.environ, **self.environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "NO_PROXY": "localhost",
        }

    def client(self, service: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Skip without Node.js or the CDK's command line; a build server must have both."""
    require_moto()
    if os.environ.get("CI") != "true" and not (shutil.which("node") and CDK.exists()):
        pytest.skip("The CDK's command line is not installed: run `make synth`.")
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - absent on some machines

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    try:
        # By this name, not by its address: moto finds the templates of stacks no other way.
        yield Account(f"http://localhost:{port}", tmp_path_factory.mktemp("cdk"))
    finally:
        server.stop()


def stacks(account: Account) -> dict[str, str]:
    listed = account.client("cloudformation").describe_stacks()["Stacks"]
    return {one["StackName"]: one["StackStatus"] for one in listed}


def test_the_platform_is_deployed_and_destroyed(account: Account) -> None:
    account.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}")
    assert set(stacks(account)) == {"CDKToolkit"}

    account.cdk("deploy", PLATFORM, "--require-approval", "never")
    assert stacks(account)[PLATFORM] == "CREATE_COMPLETE"
    has_the_platform(account)

    account.cdk("destroy", PLATFORM, "--force")
    assert set(stacks(account)) == {"CDKToolkit"}


def has_the_platform(account: Account) -> None:
    ec2, ecs, elb = account.client("ec2"), account.client("ecs"), account.client("elbv2")
    (vpc,) = ec2.describe_vpcs(Filters=[OURS])["Vpcs"]
    there = {"Name": "vpc-id", "Values": [vpc["VpcId"]]}
    assert len(ec2.describe_subnets(Filters=[there])["Subnets"]) == 4
    assert len(ec2.describe_nat_gateways(Filters=[there])["NatGateways"]) == 1
    assert [one["status"] for one in clusters(ecs)] == ["ACTIVE"]
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    assert (balancer["Scheme"], balancer["VpcId"]) == ("internal", vpc["VpcId"])


def clusters(ecs: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ecs.describe_clusters(
        clusters=ecs.list_clusters()["clusterArns"]
    )["clusters"]
    return found
