"""What a step of a conversion is told, and what it answers: two JSON files in a folder of its own.

Steps also run in environments that hold a framework and nothing of hookline's packages, so this
module and the errors are all that a step may import of hookline. Plain dataclasses, plain JSON.
"""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from hookline.core.errors import BY_CODE, HooklineError, InvalidModel

RESULT, FAILURE, SAMPLES = "result.json", "failure.json", "samples.npz"
_MAX_WHY = 500


@dataclass(frozen=True, slots=True)
class Job:
    """One step: `module`'s run(job) reads `source` and writes into `folder`.

    `samples` are files with inputs to compare outputs on; `input_shape` is the importer's word on
    the first input.
    """

    module: str
    source: str
    folder: str
    input_shape: tuple[int, ...] = ()
    samples: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output, batch axis included. A variable dimension is -1."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What a step made: a model file in its folder, what it takes and gives, and what was seen."""

    file: str = ""
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    tool: str = ""
    labels: tuple[str, ...] = ()
    max_difference: float | None = None
    cases: int = 0
    report: dict[str, Any] = field(default_factory=dict)  # what measuring steps found


def write_job(job: Job, path: Path) -> None:
    """Store `job` where `read_job` finds it."""
    path.write_text(json.dumps(asdict(job)), encoding="utf-8")


def read_job(path: Path) -> Job:
    """The job stored at `path`."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["input_shape"] = tuple(stored["input_shape"])
    stored["samples"] = tuple(stored["samples"])
    return Job(**stored)


def read_result(folder: Path) -> Result:
    """What the step in `folder` made. Raise the HooklineError that stopped it, if it told one.

    Raise FileNotFoundError where it told nothing at all.
    """
    if (folder / FAILURE).is_file():
        told = json.loads((folder / FAILURE).read_text(encoding="utf-8"))
        kind = BY_CODE.get(told["code"], InvalidModel)
        raise kind(told["what"], why=told["why"], hint=told["hint"])
    stored = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    for role in ("inputs", "outputs"):
        stored[role] = tuple(
            Tensor(str(each["name"]), str(each["dtype"]), tuple(int(n) for n in each["shape"]))
            for each in stored[role]
        )
    stored["labels"] = tuple(str(label) for label in stored["labels"])
    return Result(**stored)


def work(job: Job) -> int:
    """Do the step and write its answer; return the exit status."""
    folder = Path(job.folder)
    try:
        result: Result = import_module(job.module).run(job)
    except HooklineError as error:
        return _fail(folder, error)
    except MemoryError:
        return _fail(folder, InvalidModel("The model needs more memory than a conversion may use."))
    except Exception as error:  # noqa: BLE001 - the edge around converters nobody here wrote
        traceback.print_exc()  # into the step's own log
        text = " ".join(str(error).split())[:_MAX_WHY]
        return _fail(
            folder,
            InvalidModel(
                "The model could not be converted.", why=f"{type(error).__name__}: {text}."
            ),
        )
    (folder / RESULT).write_text(json.dumps(asdict(result)), encoding="utf-8")
    return 0


def _fail(folder: Path, error: HooklineError) -> int:
    told = {"code": error.code, "what": error.what, "why": error.why, "hint": error.hint}
    (folder / FAILURE).write_text(json.dumps(told), encoding="utf-8")
    return 3
