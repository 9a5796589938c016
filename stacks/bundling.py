"""The Lambda layer, made without Docker: uv resolves wheels for Lambda's platform.

It has the package and what the control plane imports. numpy, onnxruntime and the like belong to the
runtime image; boto3 is in Lambda already.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsii
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, ILocalBundling
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks import bytecode

RUNTIME = lambda_.Runtime.PYTHON_3_14
VERSION = RUNTIME.name.removeprefix("python")
ARCHITECTURE = lambda_.Architecture.ARM_64

_SOURCE = Path(__file__).parents[1] / "layers" / "hookline"
PLATFORM = "aarch64-manylinux_2_28"  # Lambda's Python 3.14 is on Amazon Linux 2023: glibc 2.34
_EXCLUDED = ["**/__pycache__", "**/*.pyc", "requirements.in"]


@jsii.implements(ILocalBundling)
class Wheels:
    """Installs the locked requirements beside the package."""

    def try_bundle(self, output_dir: str, options: object = None, **_: Any) -> bool:
        """Fill `output_dir` as Lambda wants a layer to be. There is no other way: never False."""
        del options
        install(Path(output_dir) / "python")
        return True


def install(target: Path) -> None:
    """Put the package and its requirements into `target`, for Lambda."""
    subprocess.run(  # noqa: S603 - nothing here comes from outside
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--system-certs"),
            *("--target", str(target), "--python-version", VERSION),
            *("--python-platform", PLATFORM, "--only-binary", ":all:", "--link-mode", "copy"),
            *("--require-hashes", "--requirements", str(_SOURCE / "requirements.txt")),
        ],
        check=True,
        stdout=sys.stderr,  # standard output is jsii's
    )
    shutil.rmtree(target / "bin", ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(_SOURCE / "python" / "hookline", target / "hookline", ignore=ignored)
    if python := bytecode.interpreter(VERSION):
        bytecode.compile_all(target, python)
    else:
        print(bytecode.advice(VERSION), file=sys.stderr)  # noqa: T201 - to whoever deploys


def layer(scope: Construct) -> lambda_.LayerVersion:
    """One per stack: a layer that stacks share could never be replaced.

    Its name comes from its source and from whether there is byte code, which a later deployment
    may add.
    """
    has_byte_code = bytecode.interpreter(VERSION) is not None
    return lambda_.LayerVersion(
        scope,
        "Layer",
        code=lambda_.Code.from_asset(
            str(_SOURCE),
            exclude=_EXCLUDED,
            asset_hash_type=AssetHashType.SOURCE,
            bundling=BundlingOptions(
                image=DockerImage.from_registry("never-used"),
                local=Wheels(),
                environment={"BYTE_CODE": VERSION if has_byte_code else "none"},
            ),
        ),
        compatible_runtimes=[RUNTIME],
        compatible_architectures=[ARCHITECTURE],
    )
