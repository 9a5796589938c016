"""Make a model on this machine one that replicas run: found, converted where need be, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from hookline.cli import exits
from hookline.cli.modelfiles import ModelFiles, find_labels
from hookline.cli.preparing import preparation
from hookline.convert.isolation import TIMEOUT_S, Bench
from hookline.convert.job import Result, Tensor
from hookline.convert.pipeline import Kitchen
from hookline.convert.samples import Samples
from hookline.convert.sources import find_source
from hookline.core.config import Config
from hookline.runtime.spec import Preparation


def ready_model(
    config: Config,
    place: str,
    given: dict[str, Any],
    *,
    samples: Sequence[Path] = (),
    is_checked: bool = False,
) -> ModelFiles:
    """The model at `place` as a file that replicas run. Raise InvalidModel with what to do.

    With `is_checked` a file that needs no conversion is loaded once as well.
    """
    source = find_source(Path(place))
    labels = find_labels(place, given.get("labels"))
    kitchen = Kitchen(bench(config), config.home / "cache", exits.say)
    tried = Samples(tuple(samples), msgspec.convert(preparation(given), Preparation))
    prepared = kitchen.prepare(source, tuple(given.get("input_shape") or ()), tried)
    result = prepared.result
    if is_checked and prepared.format == "onnx" and not prepared.is_converted:
        seen = kitchen.check(prepared, tried)
        if seen.tool:  # `hookline model export` noted in the file what it was
            prepared = replace(prepared, title=seen.tool)
            result = replace(seen, tool="hookline model export")
    if samples:
        exits.say("It takes the sample." if len(samples) == 1 else "It takes the samples.")
    return ModelFiles(
        path=prepared.path,
        labels=labels or result.labels,
        format=prepared.format,
        inputs=result.inputs if prepared.format != "onnx" else (),
        outputs=result.outputs if prepared.format != "onnx" else (),
        conversion=_conversion(prepared.title, result),
    )


def described(found: ModelFiles) -> dict[str, Any]:
    """What the API is told beside the file; nothing of a plain ONNX file."""
    told: dict[str, Any] = {}
    if found.format != "onnx":
        told |= {"format": found.format}
        told |= {"inputs": _told(found.inputs), "outputs": _told(found.outputs)}
    if found.conversion:
        told["conversion"] = found.conversion
    if found.variant:
        told["variant"] = found.variant
    return told


def tell_difference(found: ModelFiles) -> None:
    """Say on stderr how near the conversion is to the original."""
    if not found.conversion:
        return
    difference, cases = found.conversion["max_difference"], found.conversion["cases"]
    if difference is None:
        exits.say(f"It loads and runs as {found.format}.")
        return
    exits.say(
        f"Converted from {found.conversion['source']}: the largest difference from the original "
        f"is {difference:.3g}, over {cases} inputs."
    )


def bench(config: Config, *, timeout_s: float = TIMEOUT_S) -> Bench:
    """Steps see neither the user's files nor hookline's own."""
    home = Path.home()
    hidden = [config.home, config.config_home, *([home] if home != Path("/") else [])]
    return Bench(sandbox=config.sandbox, hidden=tuple(hidden), timeout_s=timeout_s)


def _conversion(title: str, result: Result) -> dict[str, Any] | None:
    if not title:
        return None
    return {
        "source": title,
        "tool": result.tool,
        "max_difference": result.max_difference,
        "cases": result.cases,
    }


def _told(tensors: Sequence[Tensor]) -> list[dict[str, Any]]:
    return [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape)} for t in tensors]
