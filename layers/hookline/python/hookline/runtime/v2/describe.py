"""The documents of the Open Inference Protocol that describe a server, a model and its work."""

from __future__ import annotations

from typing import Any

from hookline import __version__
from hookline.runtime.backends.tensors import TensorSpec
from hookline.runtime.service import Service
from hookline.runtime.tally import Spent, Stages
from hookline.runtime.v2.datatypes import BYTES, datatype_of

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "schedule_policy",
    "statistics",
)
_NANOSECONDS = 1_000_000_000
_STAGES = {
    "compute_input": "preprocess_s",
    "compute_infer": "predict_s",
    "compute_output": "postprocess_s",
}
Document = dict[str, Any]


def server() -> Document:
    """GET /v2."""
    return {"name": "hookline", "version": __version__, "extensions": list(EXTENSIONS)}


def model(service: Service) -> Document:
    """GET /v2/models/NAME."""
    return {
        "name": service.served.name,
        "versions": [service.served.version],
        "platform": service.signature.platform,
        "inputs": [_tensor(spec) for spec in service.signature.inputs],
        "outputs": [_tensor(spec) for spec in service.signature.outputs],
    }


def configuration(service: Service) -> Document:
    """GET /v2/models/NAME/config, in the words of Triton's config.pbtxt."""
    signature = service.signature
    rows = service.max_items if signature.has_rows else 0
    batching = {"dynamic_batching": {"max_queue_delay_microseconds": 0}} if rows else {}
    return {
        "name": service.served.name,
        "platform": signature.platform,
        "backend": signature.platform.partition("_")[0],
        "max_batch_size": rows,
        "input": [_configured(spec, has_rows=rows > 0) for spec in signature.inputs],
        "output": [_configured(spec, has_rows=rows > 0) for spec in signature.outputs],
        **batching,
    }


def statistics(service: Service) -> Document:
    """GET /v2/models/NAME/stats.

    What is said of requests is of those of other protocols; what is said of batches, and the
    averages, of all. `compute_input` and `compute_output` are pre- and postprocessing.
    """
    counts, tally = service.counts, service.batcher.tally
    requests, nothing = counts.success.count, _spent(Spent())
    stages = {
        name: _spent(tally.of_items(stage).scaled(requests)) for name, stage in _STAGES.items()
    }
    one = {
        "name": service.served.name,
        "version": service.served.version,
        "last_inference": counts.last_ms,
        "inference_count": tally.items,
        "execution_count": tally.runs,
        "inference_stats": {
            "success": _spent(counts.success),
            "fail": _spent(counts.failure),
            "queue": _spent(tally.waits.scaled(requests)),
            **stages,
            "cache_hit": nothing,
            "cache_miss": nothing,
        },
        "batch_stats": [
            {"batch_size": size, **_stages(found)} for size, found in sorted(tally.sizes.items())
        ],
    }
    return {"model_stats": [one]}


def index(service: Service) -> list[Document]:
    """POST /v2/repository/index."""
    served = service.served
    return [{"name": served.name, "version": served.version, "state": "READY", "reason": ""}]


def _tensor(spec: TensorSpec) -> Document:
    return {"name": spec.name, "datatype": datatype_of(spec.dtype), "shape": list(spec.shape)}


def _configured(spec: TensorSpec, *, has_rows: bool) -> Document:
    name = datatype_of(spec.dtype)
    kind = "STRING" if name == BYTES else name
    dims = list(spec.shape[1:] if has_rows else spec.shape)
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": dims}


def _stages(found: Stages) -> Document:
    return {
        name: _spent(Spent(found.batches, getattr(found, stage))) for name, stage in _STAGES.items()
    }


def _spent(spent: Spent) -> Document:
    return {"count": spent.count, "ns": int(spent.seconds * _NANOSECONDS)}
