"""What the tools say of the templates, and how large they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hookline.adapters.aws.settings import from_environment
from hookline.core.topology import FUNCTIONS, QUEUES
from stacks.counts import MAX_RESOURCES
from tests.stacks.conftest import TOLD
from tests.stacks.templates import Template, text

Templates = dict[str, Template]
ROOT = Path(__file__).parents[2]
SCALE = ROOT / "docs" / "scale.md"
CONTROL = [function.name for function in FUNCTIONS]

# Resources of each stack, so that what a change adds or takes is seen.
COUNTS = {"Observability-acme": 22, "Platform": 47, "Storage-acme": 31, "Tenant-acme": 154}

# What the functions may import: the layer's packages, and what Lambda has.
IN_LAMBDA = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")

_IMPORTS = """
import importlib.abc, importlib.metadata, sys
absent = set(importlib.metadata.packages_distributions()) - set(sys.argv[2].split(","))
class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"{name} is not in the layer", name=name)
sys.meta_path.insert(0, Wall())
source = open(sys.argv[1]).read()
handler = {}
exec(compile(source, sys.argv[1], "exec"), handler)
assert callable(handler["handler"])
"""


def test_cdk_nag_finds_nothing_that_has_no_reason(synthesized: Path) -> None:
    assert findings(synthesized) == []


def test_cdk_nag_is_awake(cdk: ModuleType, tmp_path: Path) -> None:
    from aws_cdk import aws_s3  # noqa: PLC0415 - absent on some machines
    from cdk_nag import AwsSolutionsChecks  # noqa: PLC0415 - as above

    app = cdk.App(outdir=str(tmp_path), analytics_reporting=False)
    aws_s3.Bucket(cdk.Stack(app, "Careless"), "Bucket")
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    assert [name for name, _ in findings(tmp_path) if name.endswith("AwsSolutions-S1")]


def findings(assembly: Path) -> list[tuple[str, str]]:
    report = json.loads((assembly / "validation-report.json").read_text())
    return [
        (violation["ruleName"], construct["constructPath"])
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    ]


def test_cfn_lint_finds_nothing(synthesized: Path) -> None:
    pytest.importorskip("cfnlint", reason="cfn-lint is not installed: run `make check`")
    files = sorted(str(path) for path in synthesized.glob("*.template.json"))
    # W3005: the CDK writes dependencies that are implied.
    program = str(Path(sys.executable).with_name("cfn-lint"))
    command = [program, "-i", "W3005", "--", *files]
    linted = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_the_stacks_have_as_many_resources_as_were_counted(templates: Templates) -> None:
    counted = {name: sum(templates[name].counts().values()) for name in COUNTS}
    assert counted == COUNTS
    assert max(counted.values()) < MAX_RESOURCES


@pytest.mark.parametrize(("kind", "quota"), [("AWS::IAM::Role", 1000), ("AWS::Events::Rule", 300)])
def test_the_page_of_scale_says_how_many_tenants_have_room(
    templates: Templates, kind: str, quota: int
) -> None:
    """Of those without linked buckets, which take more rules."""
    own = sum(
        len(template.of_type(kind)) for name, template in templates.items() if "globex" in name
    )
    noun = kind.rpartition("::")[2].lower()
    assert f"**{quota // own} tenants**: {own} {noun}s each" in SCALE.read_text()


def test_no_function_or_custom_resource_is_smuggled_in(templates: Templates) -> None:
    for name, template in templates.items():
        kinds = template.counts()
        assert not [
            kind for kind in kinds if kind.startswith(("Custom::", "AWS::CloudFormation::"))
        ]
        functions = kinds.get("AWS::Lambda::Function", 0)
        assert functions == (len(FUNCTIONS) if name.startswith("Tenant-") else 0)


def test_no_account_or_region_is_known(templates: Templates) -> None:
    for template in templates.values():
        lines = json.dumps(template.body).replace("123456789012.dkr.ecr.eu-west-1", "")
        lines = lines.replace("ecr:eu-west-1:123456789012", "")
        lines = lines.replace(TOLD["acme"][0], "")
        assert "eu-west-1" not in lines
        assert "us-east-1" not in lines


def test_every_queue_that_matters_has_its_alarms(templates: Templates) -> None:
    alarms = templates["Observability-acme"].of_type("AWS::CloudWatch::Alarm")
    for spec in QUEUES:
        for kind in ("Dead", "Age"):
            assert any(name.startswith(f"{spec.name.title()}{kind}") for name in alarms), spec.name
    for name in ("Faults", "Latency", "PredictLatency", "PredictFaults", "NoHealthyReplica"):
        assert any(alarm.startswith(name) for alarm in alarms), name
    assert all(alarm["AlarmDescription"].endswith(".") for alarm in alarms.values())


def test_a_tenant_has_one_dashboard(templates: Templates) -> None:
    assert len(templates["Observability-acme"].of_type("AWS::CloudWatch::Dashboard")) == 1


def environment(variables: dict[str, object]) -> dict[str, str]:
    """What a process sees; names stand for what AWS makes."""
    return {name: text(value) for name, value in variables.items()}


@pytest.mark.parametrize("name", CONTROL)
def test_a_function_finds_its_settings(templates: Templates, name: str) -> None:
    variables = environment(templates["Tenant-acme"].functions()[name]["Environment"]["Variables"])
    settings = from_environment(variables)
    function = next(one for one in FUNCTIONS if one.name == name)
    has_fleet = any(grant.port == "fleet" for grant in function.grants)
    assert settings.tenant == "acme"
    assert set(settings.queues) == {one.place for one in function.grants if one.port == "queue"}
    assert (settings.fleet is not None) == has_fleet
    if settings.fleet is not None:
        assert set(settings.fleet.task_definitions) == {"stream-cpu", "stream-gpu", "stream-inf2"}
        assert set(settings.fleet.capacity_providers) == {"cpu", "gpu", "inf2"}
        assert len(settings.fleet.subnets) == 2


def test_a_process_finds_its_settings(templates: Templates) -> None:
    for definition in templates["Tenant-acme"].of_type("AWS::ECS::TaskDefinition").values():
        (container,) = definition["ContainerDefinitions"]
        pairs = {one["Name"]: one["Value"] for one in container["Environment"]}
        assert from_environment(environment(pairs)).fleet is None


@pytest.mark.parametrize("name", CONTROL)
def test_a_function_starts_with_what_the_layer_has(templates: Templates, name: str) -> None:
    variables = environment(templates["Tenant-acme"].functions()[name]["Environment"]["Variables"])
    path = str(ROOT / "functions" / name / "handler.py")
    allowed = ",".join([*layer(), *IN_LAMBDA, "hookline"])
    started = subprocess.run(
        [sys.executable, "-c", _IMPORTS, path, allowed],
        env={"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "eu-west-1", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert started.returncode == 0, started.stderr


def layer() -> list[str]:
    """The packages that are bundled, by the names they are imported by."""
    lines = (ROOT / "layers" / "hookline" / "requirements.txt").read_text().splitlines()
    return [line.partition("==")[0].replace("-", "_") for line in lines if "==" in line]


def test_the_layer_is_locked_and_light() -> None:
    lines = (ROOT / "layers" / "hookline" / "requirements.txt").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert all("==" in line and line.endswith("\\") for line in pinned)
    assert not {"numpy", "onnxruntime", "pillow", "uvicorn", "boto3"}.intersection(layer())


def test_the_cdk_command_line_is_pinned_and_its_lock_names_no_host() -> None:
    package = json.loads((ROOT / "package.json").read_text())
    lock = (ROOT / "package-lock.json").read_text()
    pinned = package["devDependencies"]["aws-cdk"]
    assert pinned == "2.1148.1"
    assert json.loads(lock)["packages"]["node_modules/aws-cdk"]["version"] == pinned
    assert "resolved" not in lock
