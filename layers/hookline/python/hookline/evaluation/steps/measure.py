"""Asks a model all files whose truth is known, and reports how good and how fast it is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hookline.convert.job import Job, Result
from hookline.convert.steps.read_examples import example_of
from hookline.core.errors import HooklineError, InvalidInput
from hookline.evaluation import metrics
from hookline.evaluation.picture import draw
from hookline.evaluation.truth import class_index, values
from hookline.evaluation.workshop import PICTURE
from hookline.runtime.backends.batches import Example
from hookline.runtime.model import Model
from hookline.runtime.spec import PipelineSpec

BATCH_ITEMS = 16
_MOST_CLASSES = 2_000  # beyond it a matrix is larger than what anyone looks at
Array = np.ndarray[Any, Any]


def run(job: Job) -> Result:
    """Report on `details["files"]` (name → path) against `details["truth"]` (name → cells)."""
    model = Model.load(msgspec.convert(job.details["pipeline"], PipelineSpec))
    truth: dict[str, list[str]] = job.details["truth"]
    asked = _Asked(model, job.details["files"])
    answers = _main_output(model, asked.outputs)
    if job.details["task"] != "regression" and _is_of_classes(answers, truth, asked.names):
        report = _classification(answers, asked.names, truth, model, job)
    elif job.details["task"] == "classification":
        raise InvalidInput(
            f"The model answers the shape {list(answers.shape[1:])} for each file.",
            why="A classifier answers a row of scores, and a file is of one class.",
            hint="Leave out --task, or evaluate it with --task regression.",
        )
    else:
        report = _regression(answers, asked.names, truth)
    return Result(report=report | asked.report())


class _Asked:
    """The answers to all files that can be read, and the time each took."""

    def __init__(self, model: Model, files: Mapping[str, str]) -> None:
        self.names: list[str] = []
        self.outputs: list[Any] = []
        self.seconds: list[float] = []
        self.errors: list[str] = []
        batch: list[Example] = []
        _warm_up(model, files)
        for name, path in files.items():
            body = Path(path).read_bytes()
            began_s = time.perf_counter()
            try:
                example = example_of(model, name, body)
                (output,) = model.predict_batch([example])
            except HooklineError as error:
                self.errors.append(f"{name}: {error}")
                continue
            self.seconds.append(time.perf_counter() - began_s)
            self.names.append(name)
            self.outputs.append(output)
            batch = [*batch, example][:BATCH_ITEMS]
        if not self.names:
            raise InvalidInput(
                f"Not one of the {len(files)} files can be read as input of the model.",
                why=self.errors[0],
                hint="Give files like those that streams of the model are sent.",
            )
        self._batch_items, self._per_s = len(batch), _throughput(model, batch)

    def report(self) -> dict[str, Any]:
        taken_ms = sorted(1000 * each for each in self.seconds)
        return {
            "examples": len(self.names),
            "skipped": len(self.errors),
            "first_error": self.errors[0] if self.errors else "",
            "latency_p50_ms": statistics.median(taken_ms),
            "latency_p99_ms": taken_ms[min(len(taken_ms) - 1, int(0.99 * len(taken_ms)))],
            "throughput_per_s": self._per_s,
            "batch_items": self._batch_items,
        }


def _warm_up(model: Model, files: Mapping[str, str]) -> None:
    """Load what the first file would pay for; whether it can be read is told later."""
    model.warm_up()
    name, path = next(iter(files.items()))
    with suppress(HooklineError):
        example_of(model, name, Path(path).read_bytes())


def _throughput(model: Model, batch: Sequence[Example]) -> float:
    """Examples a second in batches, the model alone: the best of a few, as machines are shared."""
    times = []
    try:
        for _ in range(5):
            began_s = time.perf_counter()
            model.predict_batch(batch)
            times.append(time.perf_counter() - began_s)
    except (HooklineError, ValueError):  # examples of different shapes do not go together
        return 0.0
    return len(batch) / min(times)


def _main_output(model: Model, outputs: Sequence[Any]) -> Array:
    """The first output of floats, of all examples [N, …]."""
    floats = [spec.name for spec in model.outputs if spec.dtype.startswith("float")]
    name = (floats or [model.outputs[0].name])[0]
    try:
        return np.stack([model.named(output)[name] for output in outputs])
    except ValueError as error:
        raise InvalidInput(
            f"The output {name} has another shape for each file, which cannot be evaluated.",
            why=f"{error}.",
            hint="Evaluate in your own Python, with `hookline batch predict` for the answers.",
        ) from error


def _is_of_classes(answers: Array, truth: Mapping[str, list[str]], names: Sequence[str]) -> bool:
    """A row of scores for each example, and a truth of one cell: no row of values has that."""
    is_row = answers.ndim == 2 and answers.shape[1] > 1  # noqa: PLR2004 - examples × classes
    return is_row and all(len(truth[name]) == 1 for name in names)


def _classification(
    scores: Array, names: Sequence[str], truth: Mapping[str, list[str]], model: Model, job: Job
) -> dict[str, Any]:
    found = [class_index(truth[name][0], model.labels, name) for name in names]
    classes = scores.shape[1]
    wrong = [name for name, each in zip(names, found, strict=True) if each >= classes]
    if wrong:
        raise InvalidInput(
            f"{wrong[0]} is of class {truth[wrong[0]][0]}, and the model has {classes} classes.",
            hint="Classes are counted from 0.",
        )
    right, k = np.array(found, np.int64), min(job.details["top_k"], classes)
    scores = np.nan_to_num(scores.astype(np.float64), nan=-np.inf)
    report: dict[str, Any] = {
        "task": "classification",
        "top_1": metrics.top_k_share(scores, right, 1),
        "top_k": k,
        "top_k_accuracy": metrics.top_k_share(scores, right, k),
        "calibration_error": metrics.calibration_error(metrics.as_probabilities(scores), right),
    }
    if classes > _MOST_CLASSES:
        return report
    matrix = metrics.confusion(right, metrics.ranked(scores, 1)[:, 0], classes)
    draw(matrix, model.labels, Path(job.folder) / PICTURE)
    labels = [*model.labels[:classes], *map(str, range(len(model.labels), classes))]
    per_class = zip(labels, metrics.by_class(matrix), strict=True)
    return report | {
        "classes": [{"label": label} | asdict(each) for label, each in per_class],
        "confusion": matrix.tolist(),
    }


def _regression(
    answers: Array, names: Sequence[str], truth: Mapping[str, list[str]]
) -> dict[str, Any]:
    right = np.array([values(truth[name], name) for name in names])
    found = answers.reshape(len(answers), -1)
    if found.shape != right.shape:
        raise InvalidInput(
            f"The model answers {found.shape[1]} values, and the file of --labels has "
            f"{right.shape[1]} for each file.",
            hint="Write as many columns beside the name, or the class where it is a classifier.",
        )
    return {"task": "regression", **asdict(metrics.value_errors(right, found))}
