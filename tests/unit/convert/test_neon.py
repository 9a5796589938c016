"""neon's layers become ONNX that computes what neon defines; nothing in its pickles runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from hookline.convert.job import Job
from hookline.convert.steps import from_neon
from hookline.core.errors import InvalidModel
from tests import neon_models as neon

Shape = int | tuple[int, ...]
BRANCHES = [
    neon.container("Sequential", [neon.convolution(2, (1, 1, 3))]),
    neon.container("Sequential", [neon.convolution(2, (3, 3, 3), padding=1), neon.bias(3)]),
]
MODELS: dict[str, tuple[list[neon.Described], Shape]] = {
    "affine": ([neon.linear(5, 12), neon.bias(5), neon.activation("Logistic")], 12),
    "affine on an image": ([neon.linear(4, 18)], (2, 3, 3)),
    "affine on steps": ([neon.linear(4, 3), neon.bias(4), neon.activation("Softmax")], (3, 5)),
    "convolution": ([neon.convolution(2, (3, 2, 4)), neon.bias(4)], (2, 7, 6)),
    "strides, padding, dilation": (
        [
            neon.convolution(
                2,
                (3, 3, 4),
                strides={"str_h": 2, "str_w": 1},
                padding={"pad_h": 1, "pad_w": 2},
                dilation={"dil_h": 2, "dil_w": 1},
            )
        ],
        (2, 9, 8),
    ),
    "max pooling": ([neon.layer("Pooling", fshape=2, op="max", strides=2)], (2, 7, 6)),
    "pooling strides by its window": ([neon.layer("Pooling", fshape=(3, 2))], (2, 7, 6)),
    "padded average": (
        [neon.layer("Pooling", fshape=3, op="avg", strides=2, padding=1)],
        (2, 7, 7),
    ),
    "padded maximum": ([neon.layer("Pooling", fshape=3, strides=2, padding=1)], (2, 7, 7)),
    "pooling all": ([neon.layer("Pooling", fshape="all", op="avg")], (2, 4, 5)),
    "batch norm": ([neon.batch_norm(3)], (3, 4, 4)),
    "batch norm of features": ([neon.batch_norm(6, eps=1e-6)], 6),
    "batch norm as a list": (
        [
            neon.layer(
                "BatchNorm",
                [neon.random(3, 1), neon.random(3, 1), neon.random(3, 1), np.ones((3, 1))],
            )
        ],
        (3, 2, 2),
    ),
    "softmax over an image": ([neon.activation("Softmax")], (2, 3, 3)),
    "leaky": ([neon.activation("Rectlin", slope=0.1)], 9),
    "clipped": ([neon.activation("Rectlinclip", xcut=0.3)], 9),
    "exponential": ([neon.activation("Explin", alpha=0.7)], 9),
    "tanh": ([neon.activation("Tanh"), neon.activation("Identity")], 9),
    "normalizer": (
        [neon.layer("DataTransform", transform=neon.transform("Normalizer", mean=1, divisor=3))],
        (1, 3, 3),
    ),
    "dropout": ([neon.layer("Dropout", keep=0.5), neon.layer("DropoutBinary", keep=0.25)], 9),
    "merge sum": (
        [neon.container("MergeSum", BRANCHES), neon.activation("Rectlin")],
        (2, 5, 5),
    ),
    "skip": (
        [
            neon.container(
                "MergeSum",
                [
                    neon.container("Sequential", [neon.convolution(2, (3, 3, 2), padding=1)]),
                    neon.container("Sequential", [neon.layer("SkipNode")]),
                ],
            )
        ],
        (2, 5, 5),
    ),
    "broadcast in depth": (
        [neon.container("MergeBroadcast", BRANCHES, merge="depth"), neon.linear(2, 150)],
        (2, 5, 5),
    ),
    "broadcast in a stack": (
        [neon.container("MergeBroadcast", BRANCHES, merge="stack")],
        (2, 5, 5),
    ),
    "broadcast in time": (
        [
            neon.container(
                "MergeBroadcast",
                [
                    neon.container("Sequential", [neon.linear(4, 3)]),
                    neon.container("Sequential", [neon.linear(4, 3)]),
                ],
                merge="recurrent",
            )
        ],
        (3, 5),
    ),
    "tree": (
        [
            neon.container(
                "Tree",
                [
                    neon.container("Sequential", [neon.linear(3, 8), neon.layer("BranchNode")]),
                    neon.container("Sequential", [neon.layer("BranchNode"), neon.linear(2, 3)]),
                ],
            )
        ],
        8,
    ),
    "recurrent": ([neon.recurrent("Recurrent", 3, 4, 1)], (3, 6)),
    "lstm": ([neon.recurrent("LSTM", 3, 4, 4)], (3, 6)),
    "gru": ([neon.recurrent("GRU", 3, 4, 3)], (3, 6)),
    "lstm over an image": ([neon.recurrent("LSTM", 6, 4, 4)], (2, 3, 5)),
    "last step": (
        [neon.recurrent("LSTM", 3, 4, 4), neon.layer("RecurrentLast"), neon.linear(2, 4)],
        (3, 6),
    ),
    "sum of steps": ([neon.recurrent("GRU", 3, 4, 3), neon.layer("RecurrentSum")], (3, 6)),
    "mean of steps": ([neon.recurrent("GRU", 3, 4, 3), neon.layer("RecurrentMean")], (3, 6)),
    "convolutional network": (
        [
            neon.convolution(3, (3, 3, 8), padding=1),
            neon.batch_norm(8),
            neon.activation("Rectlin"),
            neon.layer("Pooling", fshape=2, strides=2),
            neon.convolution(8, (3, 3, 8)),
            neon.bias(8),
            neon.activation("Rectlin"),
            neon.layer("Dropout", keep=0.5),
            neon.linear(10, 8 * 4 * 4),
            neon.bias(10),
            neon.activation("Softmax"),
        ],
        (3, 12, 12),
    ),
}


def converted(path: Path) -> onnxruntime.InferenceSession:
    result = from_neon.run(Job(module="", source=str(path), folder=str(path.parent)))
    made = path.parent / result.file
    onnx.checker.check_model(onnx.load(made), full_check=True)
    return onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", MODELS)
def test_a_model_computes_what_neon_defines(name: str, tmp_path: Path) -> None:
    layers, shape = MODELS[name]
    session = converted(neon.file(tmp_path / "model.prm", layers, shape))
    size = (shape,) if isinstance(shape, int) else shape
    data = np.random.default_rng(1).standard_normal((3, *size)).astype(np.float32)

    (found,) = session.run(None, {"data": data})

    wanted = np.stack([neon.answer(layers, example) for example in data])
    declared = session.get_outputs()[0].shape
    assert found.shape == wanted.shape == (3, *declared[1:])
    assert np.abs(found - wanted).max() < 1e-5


def test_words_are_looked_up(tmp_path: Path) -> None:
    layers = [
        neon.layer("LookupTable", {"W": neon.random(11, 4)}, vocab_size=11, embedding_dim=4),
        neon.recurrent("LSTM", 4, 3, 4),
        neon.layer("RecurrentSum"),
    ]
    session = converted(neon.file(tmp_path / "words.prm", layers, 6))
    words = np.array([[1, 5, 10, 0, 3, 3], [2, 2, 2, 9, 8, 7]], np.float32)

    (found,) = session.run(None, {"data": words})

    wanted = np.stack([neon.answer(layers, example) for example in words])
    assert np.abs(found - wanted).max() < 1e-5


def test_pooled_sizes_follow_caffe_where_the_model_did(tmp_path: Path) -> None:
    layers = [neon.layer("Pooling", fshape=2, strides=2)]
    path = neon.file(tmp_path / "m.prm", layers, (1, 5, 5), backend={"compat_mode": "caffe"})
    assert converted(path).get_outputs()[0].shape[1:] == [1, 3, 3]


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_every_protocol_of_pickle_is_read(protocol: int, tmp_path: Path) -> None:
    layers, shape = MODELS["affine"]
    converted(neon.file(tmp_path / "m.p", layers, shape, protocol))


class Payload:
    """What an attacker would store."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_in_the_pickle_runs(tmp_path: Path) -> None:
    layers, shape = MODELS["affine"]
    canary = tmp_path / "canary"
    path = neon.file(tmp_path / "m.prm", layers, shape, more=Payload(canary))
    with pytest.raises(InvalidModel, match=r"posix\.mkdir, which is not part of a neon model"):
        converted(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [("BiLSTM", "neon layer BiLSTM has no counterpart"), ("LRN", "neon layer LRN has no")],
)
def test_a_layer_without_a_mapping_is_named(kind: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=sentence):
        converted(neon.file(tmp_path / "m.prm", [neon.layer(kind)], (1, 4, 4)))


def test_a_transform_without_a_mapping_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="neon transform SignTest has no counterpart"):
        converted(neon.file(tmp_path / "m.prm", [neon.activation("SignTest")], 4))


def test_weights_that_do_not_fit_are_told_with_their_layer(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="neon layer Linear Linear does not fit"):
        converted(neon.file(tmp_path / "m.prm", [neon.linear(3, 5)], 4))


@pytest.mark.parametrize("cut", [10, 200, 900])
def test_a_cut_file_is_refused(cut: int, tmp_path: Path) -> None:
    path = neon.file(tmp_path / "m.prm", *MODELS["affine"])
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InvalidModel, match="cannot be read"):
        converted(path)


def test_weights_without_a_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.prm"
    path.write_bytes(pickle.dumps({"layer_params_states": []}, 2))
    with pytest.raises(InvalidModel, match="without the network"):
        converted(path)
