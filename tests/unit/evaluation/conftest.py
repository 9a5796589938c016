from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from hookline.convert.isolation import Bench
from hookline.convert.job import Job, Result
from hookline.evaluation.workshop import Workshop
from hookline.runtime.spec import PipelineSpec
from tests.e2e.cloud import DIGITS


class Here(Bench):
    """Runs the same steps in this process: that they can be confined is tested elsewhere."""

    def run(self, job: Job, *shown: Path, site: Path | None = None, python: str = "") -> Result:
        assert all(path.exists() for path in shown)
        assert not site
        assert not python
        result: Result = import_module(job.module).run(job)
        return result


@pytest.fixture
def said() -> list[str]:
    """What the workshop told."""
    return []


@pytest.fixture
def workshop(tmp_path: Path, said: list[str]) -> Workshop:
    return Workshop(Here("off", ()), tmp_path / "cache", said.append)


@pytest.fixture
def spec_of() -> Callable[[Path], PipelineSpec]:
    return lambda path: PipelineSpec(model_path=str(path), threads=1)


@pytest.fixture
def digits() -> PipelineSpec:
    labels = tuple(str(digit) for digit in range(10))
    return PipelineSpec(model_path=str(DIGITS / "digits.onnx"), labels=labels, threads=1)
