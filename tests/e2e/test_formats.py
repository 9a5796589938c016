"""Every kind of model that needs no framework but hookline's own: import, check, serve, batch."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests import neon_models
from tests.e2e.cloud import DIGITS, Cloud, digit_files
from tests.e2e.formats import journey, outputs

W = np.arange(12, dtype=np.float32).reshape(3, 4)
LABELS = "a,b,c,d"
X = np.array([1.0, 2.0, 4.0], np.float32)


def opsets(ml: int = 3) -> list[onnx.OperatorSetIdProto]:
    return [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", ml)]


def saved(path: Path, graph: onnx.GraphProto, **how: object) -> Path:
    model = helper.make_model(graph, opset_imports=opsets(), ir_version=8)
    helper.set_model_props(model, {"labels": LABELS})
    onnx.save(model, path, **how)
    return path


def value(name: str, kind: int, *shape: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def test_onnx_with_weights_beside_it_becomes_one_file(cloud: Cloud, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "net",
        [value("x", TensorProto.FLOAT, "N", 3)],
        [value("y", TensorProto.FLOAT, "N", 4)],
        [numpy_helper.from_array(W, "w")],
    )
    saved(folder / "net.onnx", graph, save_as_external_data=True, location="w", size_threshold=0)

    found = journey(cloud, folder, X, folder=tmp_path)

    assert np.allclose(outputs(found.served), X @ W)
    assert found.batched == found.served
    assert found.model["labels"] == ["a", "b", "c", "d"]
    assert found.model["conversion"]["source"] == "ONNX with external data"


def test_score_maps_of_sklearns_converters_are_rows_of_scores(cloud: Cloud, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["scores"]),
            helper.make_node(
                "ZipMap",
                ["scores"],
                ["maps"],
                domain="ai.onnx.ml",
                classlabels_strings=list("abcd"),
            ),
        ],
        "net",
        [value("x", TensorProto.FLOAT, "N", 3)],
        [
            helper.make_value_info(
                "maps",
                helper.make_sequence_type_proto(
                    helper.make_map_type_proto(
                        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
                    )
                ),
            )
        ],
        [numpy_helper.from_array(W, "w")],
    )

    found = journey(cloud, saved(tmp_path / "net.onnx", graph), X, folder=tmp_path)

    assert np.allclose(outputs(found.served), X @ W)
    assert found.batched == found.served
    assert found.model["outputs"] == [{"name": "maps", "dtype": "float32", "shape": [-1, -1]}]


def test_a_sequence_of_score_tables_is_an_array(cloud: Cloud, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["one"]),
            helper.make_node("Neg", ["one"], ["two"]),
            helper.make_node("SequenceConstruct", ["one", "two"], ["tables"]),
        ],
        "net",
        [value("x", TensorProto.FLOAT, "N", 3)],
        [
            helper.make_value_info(
                "tables",
                helper.make_sequence_type_proto(
                    helper.make_tensor_type_proto(TensorProto.FLOAT, ["N", 4])
                ),
            )
        ],
        [numpy_helper.from_array(W, "w")],
    )

    found = journey(cloud, saved(tmp_path / "net.onnx", graph), X, folder=tmp_path)

    assert np.allclose(outputs(found.served), [*(X @ W), *(-X @ W)])
    assert found.batched == found.served


def test_texts_go_in(cloud: Cloud, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node(
                "LabelEncoder",
                ["x"],
                ["y"],
                domain="ai.onnx.ml",
                keys_strings=["cat", "dog"],
                values_floats=[1.0, 2.0],
                default_float=-1.0,
            )
        ],
        "net",
        [value("x", TensorProto.STRING, "N", 3)],
        [value("y", TensorProto.FLOAT, "N", "M")],
    )
    words = np.array(["dog", "cat", "cow"])

    found = journey(cloud, saved(tmp_path / "net.onnx", graph), words, folder=tmp_path)

    assert outputs(found.served).tolist() == [2.0, 1.0, -1.0]
    assert found.batched == found.served


def test_a_neon_model_answers_as_neon_defines(cloud: Cloud, tmp_path: Path) -> None:
    layers = [
        neon_models.convolution(3, (3, 3, 8), padding=1),
        neon_models.batch_norm(8),
        neon_models.activation("Rectlin"),
        neon_models.layer("Pooling", fshape=2, strides=2),
        neon_models.linear(4, 8 * 4 * 4),
        neon_models.bias(4),
        neon_models.activation("Softmax"),
    ]
    x = np.random.default_rng(0).standard_normal((3, 8, 8)).astype(np.float32)
    path = neon_models.file(tmp_path / "model.prm", layers, (3, 8, 8))

    found = journey(cloud, path, x, folder=tmp_path)

    assert np.abs(outputs(found.served) - neon_models.answer(layers, x)).max() < 1e-6
    assert found.batched == found.served
    assert found.model["inputs"] == [{"name": "data", "dtype": "float32", "shape": [-1, 3, 8, 8]}]
    assert found.model["conversion"]["source"] == "neon"


def samples(folder: Path) -> dict[str, Path]:
    """Files to try the digits model on, by their names; `gone.png` is not there."""
    np.save(folder / "digit.npy", np.zeros((1, 8, 8), np.float32))
    np.save(folder / "vector.npy", np.zeros(7, np.float32))
    (folder / "page.png").write_text("<html>")
    names = ("digit.npy", "vector.npy", "page.png", "gone.png")
    return {name: folder / name for name in names} | {"digit.png": digit_files()[0]}


@pytest.mark.parametrize("name", ["digit.npy", "digit.png"])
def test_a_model_is_tried_on_samples(name: str, cloud: Cloud, tmp_path: Path) -> None:
    sample = samples(tmp_path)[name]

    done = cloud.run(
        "model", "import", f"{DIGITS}/digits.onnx", "--name", "m", "--sample", str(sample),
    )  # fmt: skip

    assert "It takes the sample." in done.stderr


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [
        ("gone.png", 3, "There is no file"),
        ("page.png", 6, "The model does not take the sample page.png."),
        ("vector.npy", 6, "The model does not take the sample vector.npy."),
    ],
)
def test_a_sample_that_a_model_does_not_take_is_named_and_nothing_is_registered(
    name: str, status: int, sentence: str, cloud: Cloud, tmp_path: Path
) -> None:
    sample = samples(tmp_path)[name]
    before = cloud.ask("model", "list")

    done = cloud.run(
        "model", "import", f"{DIGITS}/digits.onnx", "--name", "m", "--sample", str(sample),
        status=status,
    )  # fmt: skip

    assert sentence in done.stderr
    assert "Hint: " in done.stderr
    assert cloud.ask("model", "list") == before


BAD = {
    "empty.onnx": (b"", "is empty"),
    "photo.onnx": (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "is not a model that is known here"),
    "pointer.onnx": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "cut.onnx": (b"\x08\x08\x3a\x7f", "not a whole ONNX model"),
    "estimator.pkl": (b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00}\x94.", "Python pickle"),
    "weights.safetensors": (b"\x02\0\0\0\0\0\0\0{}", "without the network"),
    "boosted.json": (b'{"learner":{},"version":[3,0,0]}', "XGBoost"),
    "phone.mlmodel": (b"\x08\x05\x12\x00\xb2\x1f\x00", "Core ML"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_model_is_refused_in_a_sentence_and_registers_nothing(
    name: str, cloud: Cloud, tmp_path: Path
) -> None:
    content, sentence = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    before = cloud.ask("model", "list")

    done = cloud.run("model", "import", str(path), "--name", "bad", status=6)

    assert sentence in done.stderr
    assert "Hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert cloud.ask("model", "list") == before
    assert not list((cloud.home / "cache" / "converted").glob(".*"))


def test_an_environment_that_cannot_be_built_is_told_and_registers_nothing(
    cloud: Cloud, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as file:
        file.writestr("config.json", "{}")
        file.writestr("metadata.json", "{}")
    before = cloud.ask("model", "list")
    offline = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "uv"), "UV_FIND_LINKS": ""}

    done = cloud.run(
        "model", "import", str(tmp_path / "net.keras"), "--name", "m", status=8,
        environment=offline,
    )  # fmt: skip

    assert "Preparing the environment for Keras: " in done.stderr
    assert "The environment for Keras could not be built." in done.stderr
    assert "Hint: Look at the network" in done.stderr
    assert cloud.ask("model", "list") == before


def test_a_model_that_does_not_load_is_refused_before_it_is_uploaded(
    cloud: Cloud, tmp_path: Path
) -> None:
    graph = helper.make_graph(
        [helper.make_node("Nonsense", ["x"], ["y"], domain="org.example")],
        "net",
        [value("x", TensorProto.FLOAT, "N", 3)],
        [value("y", TensorProto.FLOAT, "N", 3)],
    )
    model = helper.make_model(
        graph, opset_imports=[*opsets(), helper.make_opsetid("org.example", 1)], ir_version=8
    )
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    before = cloud.ask("model", "list")

    done = cloud.run("model", "import", str(path), "--name", "bad", status=6)

    assert "The model cannot be loaded." in done.stderr
    assert "Nonsense" in done.stderr
    assert cloud.ask("model", "list") == before
