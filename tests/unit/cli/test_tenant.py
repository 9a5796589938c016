"""`hookline tenant` against AWS as moto plays it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hookline.cli.main import HOOKLINE
from hookline.cli.shell import Shell
from hookline.control import authorizer
from hookline.core import profiles
from hookline.core.config import from_environment
from tests.contract.adapters import missing_for_aws, require_moto

if not missing_for_aws():
    import boto3
    from moto import mock_aws

REGION = "eu-central-1"
ENDPOINT = "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"
NAMES = ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN")
TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    },
}
BUCKET = {"Type": "AWS::S3::Bucket"}
Call = Callable[..., Result]


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    require_moto()
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "AWS_REGION": REGION}


@pytest.fixture
def hookline(environ: dict[str, str]) -> Call:
    def call(*words: str) -> Result:
        return CliRunner().invoke(HOOKLINE, words, obj=Shell(environ), prog_name="hookline")

    return call


def deploy(tenant: str, stage: str = "dev", *, endpoint: str = ENDPOINT) -> None:
    """The stacks of a tenant, as far as they are read."""
    storage = {"Table": {"Ref": "Catalog"}, "Bucket": {"Ref": "Blobs"}}
    create(f"Hookline-{stage}-Storage-{tenant}", {"Catalog": TABLE, "Blobs": BUCKET}, storage)
    create(f"Hookline-{stage}-Tenant-{tenant}", {"Blobs": BUCKET}, {"Endpoint": endpoint})


def create(name: str, resources: dict[str, Any], outputs: dict[str, Any]) -> None:
    template = {
        "Resources": resources,
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    cloudformation = boto3.client("cloudformation", region_name=REGION)
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))


def stored(environ: dict[str, str], name: str) -> profiles.Profile | None:
    own = {key: value for key, value in environ.items() if not key.startswith("AWS_")}
    return profiles.find(from_environment(own), name)


def speaks_for(key: str, tenant: str, stage: str = "dev") -> dict[str, Any]:
    """What the deployed authorizer says of a key."""
    from hookline.local.tenant import reach  # noqa: PLC0415 - needs botocore

    handler = authorizer.build(reach(tenant, stage, REGION).ports)
    said: dict[str, Any] = handler({"headers": {"authorization": f"Bearer {key}"}}, None)
    return said


def test_bootstrap_makes_an_admin_key_that_opens_the_tenant(
    hookline: Call, environ: dict[str, str]
) -> None:
    deploy("acme")

    result = hookline("tenant", "bootstrap", "acme", "-o", "json")

    made = json.loads(result.stdout)
    assert result.exit_code == 0
    assert {**made, "key": ""} == {
        "tenant": "acme",
        "endpoint": ENDPOINT,
        "user": "admin",
        "key": "",
    }
    assert speaks_for(made["key"], "acme") == {
        "isAuthorized": True,
        "context": {"tenant": "acme", "user": "admin", "role": "admin"},
    }
    assert stored(environ, "acme-dev") == profiles.Profile(ENDPOINT, made["key"])
    assert made["key"] not in result.stderr
    assert "--profile acme-dev" in result.stderr


def test_a_second_bootstrap_makes_no_key_and_keeps_the_profile(
    hookline: Call, environ: dict[str, str]
) -> None:
    deploy("acme")
    first = json.loads(hookline("tenant", "bootstrap", "acme", "-o", "json").stdout)

    again = hookline("tenant", "bootstrap", "acme", "-o", "json")

    assert again.exit_code == 0
    assert json.loads(again.stdout)["key"] == ""
    assert "has a key already; --new-key makes another" in again.stderr
    assert stored(environ, "acme-dev") == profiles.Profile(ENDPOINT, first["key"])


def test_another_key_is_made_when_it_is_wanted_and_the_first_stays_good(hookline: Call) -> None:
    deploy("acme")
    first = json.loads(hookline("tenant", "bootstrap", "acme", "-o", "json").stdout)["key"]

    again = hookline("tenant", "bootstrap", "acme", "--new-key", "-o", "json")

    second = json.loads(again.stdout)["key"]
    assert second not in ("", first)
    assert speaks_for(first, "acme")["isAuthorized"]
    assert speaks_for(second, "acme")["isAuthorized"]


def test_the_key_of_one_tenant_is_unknown_to_another(hookline: Call) -> None:
    deploy("acme")
    deploy("globex")
    deploy("acme", "prod")
    key = json.loads(hookline("tenant", "bootstrap", "acme", "-o", "json").stdout)["key"]

    assert not speaks_for(key, "globex")["isAuthorized"]
    assert not speaks_for(key, "acme", "prod")["isAuthorized"]


def test_the_profile_may_be_named(hookline: Call, environ: dict[str, str]) -> None:
    deploy("acme", "prod")

    words = ("tenant", "bootstrap", "acme", "--stage", "prod", "--profile", "mine", "-o", "json")
    key = json.loads(hookline(*words).stdout)["key"]

    assert stored(environ, "mine") == profiles.Profile(ENDPOINT, key)
    assert stored(environ, "acme-prod") is None


def test_the_key_of_another_cloud_is_never_overwritten(
    hookline: Call, environ: dict[str, str]
) -> None:
    deploy("acme")
    own = {"HOME": environ["HOME"]}
    profiles.save(from_environment(own), "mine", "http://127.0.0.1:8700", "hk_1")

    refused = hookline("tenant", "bootstrap", "acme", "--profile", "mine")
    then = hookline("tenant", "bootstrap", "acme", "-o", "json")

    assert refused.exit_code == 5
    assert "The profile mine is of http://127.0.0.1:8700; no key is made." in refused.stderr
    assert stored(environ, "mine") == profiles.Profile("http://127.0.0.1:8700", "hk_1")
    assert json.loads(then.stdout)["key"]


def test_a_tenant_that_is_not_there_is_named_with_the_region(hookline: Call) -> None:
    deploy("acme")

    for words in (["globex"], ["acme", "--stage", "prod"], ["acme", "--region", "eu-west-1"]):
        result = hookline("tenant", "bootstrap", *words)
        assert result.exit_code == 3
        assert "There is no stack Hookline-" in result.stderr
        assert "hookline tenant list" in result.stderr
    assert "in eu-west-1" in result.stderr


def test_a_stack_without_its_outputs_says_in_what_state_it_is(hookline: Call) -> None:
    create("Hookline-dev-Storage-acme", {"Blobs": BUCKET}, {})

    result = hookline("tenant", "bootstrap", "acme")

    assert result.exit_code == 5
    assert "Hookline-dev-Storage-acme has no output Table. It is CREATE_COMPLETE." in result.stderr


@pytest.mark.parametrize("name", ["a-b", "Acme", "a b", ""])
def test_what_can_be_no_tenant_is_refused(name: str, hookline: Call) -> None:
    assert hookline("tenant", "bootstrap", name).exit_code == 2


def test_a_region_is_needed_and_must_be_one_of_aws(
    hookline: Call, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no region 'mars-1'" in hookline("tenant", "list", "--region", "mars-1").stderr

    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)  # moto's
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    del environ["AWS_REGION"]
    nowhere = hookline("tenant", "list")

    assert nowhere.exit_code == 2
    assert "Give --region, or set AWS_REGION." in nowhere.stderr


def test_the_region_of_the_aws_settings_holds_where_none_is_given(
    hookline: Call, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy("acme")
    del environ["AWS_REGION"]
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)

    assert hookline("tenant", "list", "-o", "id").stdout == "acme\n"


def test_list_shows_the_tenants_of_every_stage(hookline: Call) -> None:
    deploy("acme")
    deploy("globex", "prod")
    create("Somebody-elses-Tenant-x", {"Blobs": BUCKET}, {})

    found = json.loads(hookline("tenant", "list", "-o", "json").stdout)

    assert [(one["tenant"], one["stage"]) for one in found] == [("acme", "dev"), ("globex", "prod")]
    assert {one["endpoint"] for one in found} == {ENDPOINT}
    assert {(one["region"], one["status"]) for one in found} == {(REGION, "CREATE_COMPLETE")}
    assert (
        json.loads(hookline("tenant", "list", "--region", "us-east-1", "-o", "json").stdout) == []
    )


def run(*words: str, before: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Without moto: in a process of its own, whose AWS settings are those of `environ` alone."""
    script = f"import sys\n{before}\nfrom hookline.cli.start import hookline\nhookline()"
    nothing = {
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": REGION,
        "HOME": "/nonexistent",
        "PATH": os.environ["PATH"],
    }
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        env=nothing | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_credentials_nothing_is_asked() -> None:
    refused = run("tenant", "bootstrap", "acme")

    assert refused.returncode == 4
    assert refused.stderr.startswith("Error: hookline has no AWS credentials.")
    assert "AWS_PROFILE" in refused.stderr


def test_an_aws_profile_that_is_not_there_is_named() -> None:
    refused = run("tenant", "list", AWS_PROFILE="nobody")

    assert refused.returncode == 4
    assert "nobody" in refused.stderr


def test_without_botocore_the_extra_is_named() -> None:
    refused = run("tenant", "list", before="sys.modules['botocore'] = None")

    assert refused.returncode == 2
    assert "pip install 'hookline[aws]'" in refused.stderr
