"""Makes TorchScript of ONNX models, for compilers that take PyTorch alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hookline.adapters.machine.environments import install
from hookline.convert.isolation import Bench
from hookline.convert.job import SAMPLES, Job
from hookline.convert.onnxoperators import unknown_operators
from hookline.convert.routes import ONNX_TO_TORCH
from hookline.core.errors import HooklineError, InvalidModel, Unavailable

_RECORD = "hookline.convert.steps.record_onnx"
_SHOWN = 5  # operators named in a refusal


@dataclass(frozen=True, slots=True)
class Script:
    """A TorchScript file, what the original calls its outputs, and how near its answers are."""

    path: Path
    output_names: tuple[str, ...]
    max_difference: float


def check_operators(path: Path) -> None:
    """Raise InvalidModel for an ONNX model with operators that do not become PyTorch's."""
    with path.open("rb") as file:
        unknown = unknown_operators(file)
    if unknown:
        raise InvalidModel(
            f"The model cannot be compiled: {_listed(unknown)} of ONNX do not become PyTorch here.",
            why="AWS's compilers take PyTorch models.",
            hint="Import the model as TorchScript from where it was trained, and compile that.",
        )


def _listed(names: Sequence[str]) -> str:
    return f"the operators {', '.join(names[:_SHOWN])}" + (" and others" * (len(names) > _SHOWN))


def as_torchscript(
    bench: Bench,
    cache_dir: Path,
    tell: Callable[[str], None],
    path: Path,
    shapes: Sequence[Sequence[Sequence[int]]],
    work: Path,
) -> Script:
    """The ONNX model at `path`, made in `work` and held to its answers on each of `shapes`.

    Raise what stops it: InvalidModel, Unsupported with the operator, Unavailable.
    """
    asked, made, path = work / "asked", work / "made", path.resolve()
    asked.mkdir()
    made.mkdir()
    told = [[list(shape) for shape in each] for each in shapes]
    answers = bench.run(Job(_RECORD, str(path), str(asked), details={"shapes": told}), path)
    site, cases = _site(cache_dir, tell), asked / SAMPLES
    job = Job(ONNX_TO_TORCH.module, str(path), str(made), details={"cases": str(cases)})
    found = bench.run(job, path, cases, site=site)
    difference = found.max_difference or 0.0
    tell(
        f"Made {ONNX_TO_TORCH.title}: the largest difference from the original is "
        f"{difference:.3g}, over {found.cases} inputs."
    )
    names = tuple(tensor.name for tensor in answers.outputs)
    return Script(made / found.file, names, difference)


def _site(cache_dir: Path, tell: Callable[[str], None]) -> Path:
    tell(f"Preparing the environment for {ONNX_TO_TORCH.title}.")
    try:
        return install(list(ONNX_TO_TORCH.packages), cache_dir)
    except HooklineError as error:
        raise Unavailable(
            f"The environment for {ONNX_TO_TORCH.title} could not be built.",
            why=error.why,
            hint="Look at the network and at the settings of uv, or import the model as "
            "TorchScript.",
        ) from error
