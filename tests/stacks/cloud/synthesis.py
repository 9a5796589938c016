"""Synthesizes the stacks of tenants into a folder, outside of the tests as well."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import aws_cdk

from app import build

ROOT = Path(__file__).parents[3]
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hookline:0.1.0-{device}"


Named = Mapping[str, Sequence[str]]


def synthesize(folder: Path, tenants: Sequence[str], linked: Named, told: Named) -> Path:
    """`linked` are buckets, `told` are topics. No layer is bundled: that would fetch packages."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"] | {
        "hookline:image": IMAGE,
        "hookline:tenants": list(tenants),
        "hookline:linked-buckets": {name: list(buckets) for name, buckets in linked.items()},
        "hookline:notify-topics": {name: list(topics) for name, topics in told.items()},
        "aws:cdk:bundling-stacks": [],
    }
    app = aws_cdk.App(context=context, outdir=str(folder), analytics_reporting=False)
    build(app)
    app.synth()
    return folder
