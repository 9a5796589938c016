"""Train the digits model and write everything this folder ships: `python -m examples.digits.train`.

Needs torch and onnx; the model it writes needs neither. The ONNX graph is built by hand from the
trained weights, so that it is small, readable and the same for the same weights.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from examples.digits.dataset import MODEL_SIDE, Indices, Pixels, as_tensor, draw, load, split

HERE = Path(__file__).parent
LABELS = [str(digit) for digit in range(10)]
EPOCHS, BATCH_ITEMS, SEED = 40, 64, 0
CHANNELS, HIDDEN = 16, 64


def network() -> torch.nn.Sequential:
    """Two convolutions and two dense layers: images [N, 1, 8, 8] to logits [N, 10]."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, CHANNELS, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(2 * CHANNELS * (MODEL_SIDE // 2) ** 2, HIDDEN),
        torch.nn.ReLU(),
        torch.nn.Linear(HIDDEN, len(LABELS)),
    )


def train(images: torch.Tensor, labels: torch.Tensor) -> torch.nn.Sequential:
    """Fit `network` to images [N, 1, 8, 8] with labels [N]. The seed makes it repeatable."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(images)).split(BATCH_ITEMS):
            optimizer.zero_grad()
            answers = model(images[chosen])
            torch.nn.functional.cross_entropy(answers, labels[chosen]).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def as_onnx(model: torch.nn.Sequential) -> onnx.ModelProto:
    """The trained network with a softmax at its end, labels and preparation in its metadata."""
    weights = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    positions = {"conv1": 0, "conv2": 2, "dense1": 7, "dense2": 9}  # in the Sequential
    initializers = [
        numpy_helper.from_array(weights[f"{position}.{part}"], f"{name}.{part}")
        for name, position in positions.items()
        for part in ("weight", "bias")
    ]
    image = helper.make_tensor_value_info(
        "image", TensorProto.FLOAT, ["batch", 1, MODEL_SIDE, MODEL_SIDE]
    )
    probabilities = helper.make_tensor_value_info(
        "probabilities", TensorProto.FLOAT, ["batch", len(LABELS)]
    )
    graph = helper.make_graph(nodes(), "digits", [image], [probabilities], initializers)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    proto.producer_name = "hookline examples/digits"
    helper.set_model_props(proto, {"labels": json.dumps(LABELS), "scale": str(1 / 255)})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def nodes() -> list[onnx.NodeProto]:
    """The graph, line by line."""

    def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs.split(), [output], name=output, **attributes)

    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    return [
        node("Conv", "image conv1.weight conv1.bias", "conv1", **same),
        node("Relu", "conv1", "relu1"),
        node("Conv", "relu1 conv2.weight conv2.bias", "conv2", **same),
        node("Relu", "conv2", "relu2"),
        node("MaxPool", "relu2", "pooled", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "pooled", "flat"),
        node("Gemm", "flat dense1.weight dense1.bias", "dense1", transB=1),
        node("Relu", "dense1", "relu3"),
        node("Gemm", "relu3 dense2.weight dense2.bias", "logits", transB=1),
        node("Softmax", "logits", "probabilities", axis=-1),
    ]


def write_images(images: Pixels, labels: Indices) -> None:
    """Draw the digits no one trained on; what they are stands in truth.csv alone."""
    parts = split(labels)
    rows = []
    for folder, chosen in (("images", parts.held_out), ("drops", parts.dropped)):
        (HERE / folder).mkdir(exist_ok=True)
        for index in chosen:
            name = f"{len(rows):03}.png"
            draw(images[index]).save(HERE / folder / name, optimize=True)
            rows.append((name, labels[index]))
    with (HERE / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("name", "label"), *rows])


def main() -> None:
    images, labels = load()
    tensors = torch.from_numpy(np.stack([as_tensor(draw(image)) for image in images]))
    parts = split(labels)
    model = train(tensors[parts.train], torch.from_numpy(labels[parts.train]))
    right = model(tensors[parts.held_out]).argmax(1).numpy() == labels[parts.held_out]
    (HERE / "digits.onnx").write_bytes(as_onnx(model).SerializeToString(deterministic=True))
    (HERE / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    write_images(images, labels)
    print(f"accuracy on the {len(right)} held-out digits: {100 * right.mean():.1f} %")


if __name__ == "__main__":
    main()
