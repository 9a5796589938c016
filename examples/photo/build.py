"""Build the palette model: `python -m examples.photo.build`. Nothing is trained; it measures.

Every pixel is given to the nearest of the colours in bundle/labels.json, and the answer is the
share of the picture that each colour got. Nearest is the largest 2·c·x - c·c over the colours c,
which is a 1×1 convolution; counting is one-hot and mean.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
SIDE = 64


def build(labels: list[dict[str, str]]) -> onnx.ModelProto:
    """image: float32 [batch, 3, 64, 64], RGB from 0 to 255; shares: [batch, len(labels)], sum 1."""
    colours = np.array([list(bytes.fromhex(label["hex"][1:])) for label in labels], np.float32)
    count = len(colours)
    initializers = [
        numpy_helper.from_array(2 * colours[:, :, np.newaxis, np.newaxis], "twice"),
        numpy_helper.from_array(-(colours**2).sum(1), "square"),
        numpy_helper.from_array(np.array(count, np.int64), "count"),
        numpy_helper.from_array(np.array([0, 1], np.float32), "off_on"),
    ]
    nodes = [
        helper.make_node("Conv", ["image", "twice", "square"], ["closeness"]),
        helper.make_node("ArgMax", ["closeness"], ["nearest"], axis=1, keepdims=0),
        helper.make_node("OneHot", ["nearest", "count", "off_on"], ["is_nearest"], axis=1),
        helper.make_node("ReduceMean", ["is_nearest"], ["shares"], axes=[2, 3], keepdims=0),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])
    shares = helper.make_tensor_value_info("shares", TensorProto.FLOAT, ["batch", count])
    graph = helper.make_graph(nodes, "palette", [image], [shares], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.producer_name = "hookline examples/photo"
    names = json.dumps([label["name"] for label in labels])
    helper.set_model_props(model, {"labels": names})
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    labels = json.loads((HERE / "bundle" / "labels.json").read_text(encoding="utf-8"))
    (HERE / "palette.onnx").write_bytes(build(labels).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
