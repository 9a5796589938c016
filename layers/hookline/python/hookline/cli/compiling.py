"""Fetch a model, compile it on this machine, and make the result a model of its own."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hookline.cli import exits
from hookline.cli.importing import bench
from hookline.convert.job import Tensor
from hookline.convert.neuron_compile import TIMEOUT_S, Compiled, Compiler, Source, Wanted, check
from hookline.core.config import Config
from hookline.core.errors import InvalidModel
from hookline.runtime.neuron import environment
from hookline.runtime.neuron.buckets import Buckets

if TYPE_CHECKING:
    from hookline import Client
    from hookline.client.views import Model


def compiled(
    config: Config,
    cloud: Client,
    model_id: int,
    given: dict[str, Any],
    *,
    name: str,
    home: Path | None,
) -> Model:
    """The new model. Raise what keeps it from being made; nothing is registered then."""
    wanted = Wanted(**given | {"batches": tuple(given["batches"])})
    check(wanted)
    model = cloud.model(model_id)
    if model.format == "neuron":
        raise InvalidModel(
            f"Model {model_id} is compiled already.", hint="Compile the model it was made of."
        )
    compiler = Compiler(
        bench(config, timeout_s=TIMEOUT_S),
        config.home / "cache",
        exits.say,
        home or environment.HOME,
    )
    with tempfile.TemporaryDirectory(prefix="hookline-compile-") as folder:
        path = Path(folder) / "model"
        cloud.save_model(model_id, path)
        inputs = tuple(Tensor(each.name, each.dtype, each.shape) for each in model.inputs)
        source = Source(path, model.sha256, model.format, inputs)
        made = compiler.compile(source, wanted)
    return cloud.import_model(
        made.path,
        name or f"{model.name}-{wanted.target}",
        labels=model.labels,
        preparation=model.preparation,
        described=_described(made, model_id),
    )


def tell_operators(model: Model) -> None:
    """Say on stderr what the device does not do."""
    on_cpu = (model.compilation or {}).get("on_cpu", {})
    if on_cpu:
        told = ", ".join(f"{count} × {name}" for name, count in sorted(on_cpu.items()))
        exits.say(f"Left to the CPU, which may be slow: {told}.")


def _described(made: Compiled, model_id: int) -> dict[str, Any]:
    """What the API is told beside the file."""
    manifest, buckets = made.manifest, Buckets(made.manifest)
    told = {
        role: [
            {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)} for spec in specs
        ]
        for role, specs in (("inputs", buckets.inputs), ("outputs", buckets.outputs))
    }
    kept = ("target", "cores", "is_pipeline", "precision", "compiler", "on_cpu")
    fields = {name: value for name, value in asdict(manifest).items() if name in kept}
    return {"format": "neuron", **told, "compilation": fields | {"model_id": model_id}}
