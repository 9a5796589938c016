"""What tests fill a control plane with."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Any

from onnx import TensorProto, helper

from hookline.core.records import upload_key, volume_prefix
from tests.unit.control.events import Plane

ACCURACY = {
    "examples": 100,
    "agreement": 0.97,
    "min_agreement": 0.99,
    "largest_error": 0.1,
    "mean_error": 0.01,
    "speed_up": 1.5,
    "batch_items": 16,
    "size_bytes": 10,
    "original_size_bytes": 40,
}
HOOKS = b"def postprocess(output, raw_input):\n    return output\n"


@cache
def onnx_bytes(
    shape: tuple[int | None, ...] = (None, 1, 8, 8),
    output: tuple[int | None, ...] = (None, 10),
    metadata: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """A model file; two calls with the same arguments give the same bytes."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
    )
    model = helper.make_model(graph)
    helper.set_model_props(model, dict(metadata))
    data: bytes = model.SerializeToString()
    return data


def uploaded(plane: Plane, data: bytes, tenant: str = "a") -> str:
    """Store `data` as an upload, as a client's PUT would, and return its sha256."""
    digest = sha256(data).hexdigest()
    plane.ports.blobs.put(upload_key(tenant, digest), data)
    return digest


def imported(plane: Plane, data: bytes | None = None, **fields: Any) -> dict[str, Any]:
    """A model of tenant a."""
    digest = uploaded(plane, data or onnx_bytes())
    model: dict[str, Any] = plane.made("/v1/models", {"name": "digits", "sha256": digest, **fields})
    return model


def variant(plane: Plane, agreement: float) -> int:
    """A model of tenant a in int4, whose bound is 99 %."""
    told = {"precision": "int4", "accuracy": ACCURACY | {"agreement": agreement}}
    return int(imported(plane, variant=told)["id"])


def deployed(plane: Plane, **fields: Any) -> dict[str, Any]:
    """A stream of tenant a."""
    fields.setdefault("model_id", 0)
    if not fields["model_id"]:
        fields["model_id"] = imported(plane)["id"]
    stream: dict[str, Any] = plane.made("/v1/streams", fields)
    return stream


def filled_volume(plane: Plane, names: Sequence[str] = ("1.png",), **fields: Any) -> int:
    """A volume of tenant a with these files."""
    volume_id: int = plane.made("/v1/volumes", {"name": "v", **fields})["id"]
    for name in names:
        plane.ports.blobs.put(volume_prefix("a", volume_id) + name, name.encode())
    return volume_id


def zipped(**files: bytes) -> bytes:
    """A zip; `inference` stands for inference.py."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/") + ".py", data)
    return target.getvalue()
