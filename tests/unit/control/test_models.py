from __future__ import annotations

import io
import zipfile
from hashlib import sha256
from typing import Any

import pytest

from hookline.core.records import upload_key
from tests.unit.control.content import (
    ACCURACY,
    deployed,
    filled_volume,
    imported,
    onnx_bytes,
    uploaded,
)
from tests.unit.control.events import Plane

LABELS = [str(digit) for digit in range(10)]


def test_an_upload_gets_a_signed_request_until_the_file_is_there(plane: Plane) -> None:
    data = onnx_bytes()
    body = {"sha256": sha256(data).hexdigest(), "size_bytes": len(data)}

    before = plane.made("/v1/uploads", body)
    uploaded(plane, data)
    after = plane.made("/v1/uploads", body)

    assert before["request"]["method"] == "PUT"
    assert before["sha256"] == after["sha256"] == body["sha256"]
    assert after["request"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"sha256": "A" * 64, "size_bytes": 1},
        {"sha256": "0" * 63, "size_bytes": 1},
        {"sha256": "0" * 64, "size_bytes": -1},
        {"sha256": "0" * 64, "size_bytes": 6 * 1024**3},
    ],
)
def test_an_upload_that_cannot_be_is_refused(plane: Plane, body: dict[str, Any]) -> None:
    assert plane("POST", "/v1/uploads", body).status == 422


def test_an_imported_model_tells_what_its_file_says(plane: Plane) -> None:
    digest = uploaded(plane, onnx_bytes())

    answer = plane("POST", "/v1/models", {"name": "digits", "sha256": digest, "labels": LABELS})

    assert answer.status == 201
    assert answer.headers["Location"] == "/v1/models/1"
    assert answer.body == {
        "id": 1,
        "name": "digits",
        "format": "onnx",
        "sha256": digest,
        "size_bytes": len(onnx_bytes()),
        "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 1, 8, 8]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [-1, 10]}],
        "labels": LABELS,
        "preparation": {"mean": [], "std": [], "scale": 1.0, "layout": ""},
        "conversion": None,
        "variant": None,
        "compilation": None,
        "status": "Ready",
        "created_at": "2023-11-14T22:13:20Z",
    }
    assert plane.shown("/v1/models/1") == answer.body
    assert plane.shown("/v1/models")["items"] == [answer.body]


def test_models_are_counted_from_one(plane: Plane) -> None:
    assert [imported(plane)["id"] for _ in range(3)] == [1, 2, 3]


def test_a_model_that_is_not_uploaded_says_where_to_begin(plane: Plane) -> None:
    answer = plane("POST", "/v1/models", {"name": "m", "sha256": "0" * 64})

    assert answer.status == 404
    assert "0" * 64 in answer.body["title"]
    assert "/v1/uploads" in answer.body["hint"]


def test_a_file_that_is_no_model_is_refused_with_what_to_do(plane: Plane) -> None:
    digest = uploaded(plane, b"not a model")

    answer = plane("POST", "/v1/models", {"name": "m", "sha256": digest})

    assert (answer.status, answer.body["code"]) == (422, "invalid_model")
    assert "onnx" in answer.body["hint"]
    assert plane.shown("/v1/models")["items"] == []


def test_a_model_that_is_not_there_is_named(plane: Plane) -> None:
    for method in ("GET", "DELETE"):
        answer = plane(method, "/v1/models/7")
        assert (answer.status, answer.body["title"]) == (404, "There is no model 7.")


def test_labels_come_from_the_file_as_json_or_as_lines(plane: Plane) -> None:
    as_json = onnx_bytes(output=(None, 2), metadata=(("labels", '["cat", "dog"]'),))
    as_lines = onnx_bytes(output=(None, 2), metadata=(("labels", "cat\ndog\n"),))

    assert imported(plane, as_json)["labels"] == ["cat", "dog"]
    assert imported(plane, as_lines)["labels"] == ["cat", "dog"]
    assert imported(plane, as_lines, labels=["a", "b"])["labels"] == ["a", "b"]


def test_a_wrong_number_of_labels_is_refused_naming_both(plane: Plane) -> None:
    body = {"name": "m", "sha256": uploaded(plane, onnx_bytes()), "labels": ["a", "b"]}

    answer = plane("POST", "/v1/models", body)

    assert (answer.status, answer.body["code"]) == (422, "invalid_input")
    assert "2 labels for 10 classes" in answer.body["title"]


def test_any_number_of_labels_fits_classes_that_are_not_known(plane: Plane) -> None:
    data = onnx_bytes(output=(None, None))

    assert imported(plane, data, labels=["a", "b"])["labels"] == ["a", "b"]


def test_a_preparation_is_stored(plane: Plane) -> None:
    wanted = {"mean": [0.5], "std": [0.25], "scale": 0.0625, "layout": "NCHW"}

    assert imported(plane, preparation=wanted)["preparation"] == wanted


def test_a_preparation_comes_from_the_file(plane: Plane) -> None:
    data = onnx_bytes(metadata=(("mean", "[0.5]"), ("std", "[2]")))

    assert imported(plane, data)["preparation"]["mean"] == [0.5]


@pytest.mark.parametrize(
    ("preparation", "words"),
    [
        ({"mean": [1, 2, 3]}, "3 values for 1 channels"),
        ({"std": [1, 2]}, "2 values for 1 channels"),
        ({"mean": [1, 2, 3], "layout": "NHWC"}, "3 values for 8 channels"),
        ({"std": [0]}, "0 would leave nothing"),
        ({"scale": 0}, "0 would leave nothing"),
        ({"layout": "CHW"}, "does not fit"),
        ({"blur": 1}, "does not fit"),
    ],
)
def test_a_preparation_that_cannot_be_is_refused(
    plane: Plane, preparation: dict[str, Any], words: str
) -> None:
    digest = uploaded(plane, onnx_bytes())
    body = {"name": "m", "sha256": digest, "preparation": preparation}

    answer = plane("POST", "/v1/models", body)

    assert answer.status == 422
    assert words in answer.body["title"]


def test_a_file_with_an_unreadable_preparation_is_refused(plane: Plane) -> None:
    digest = uploaded(plane, onnx_bytes(metadata=(("scale", "{"),)))

    answer = plane("POST", "/v1/models", {"name": "m", "sha256": digest})

    assert (answer.status, answer.body["code"]) == (422, "invalid_model")


@pytest.mark.parametrize("given", [[3, 32, 32], [1, 3, 32, 32]])
def test_an_input_shape_fixes_variable_dimensions(plane: Plane, given: list[int]) -> None:
    data = onnx_bytes(shape=(None, 3, None, None))

    [tensor] = imported(plane, data, input_shape=given)["inputs"]

    assert tensor["shape"][1:] == [3, 32, 32]


@pytest.mark.parametrize("given", [[3, 32], [1, 32, 32], [3, 0, 32], [3, -1, 32]])
def test_an_input_shape_that_the_model_cannot_have_is_refused(
    plane: Plane, given: list[int]
) -> None:
    digest = uploaded(plane, onnx_bytes(shape=(None, 3, None, 32)))

    answer = plane("POST", "/v1/models", {"name": "m", "sha256": digest, "input_shape": given})

    if given == [3, -1, 32]:
        assert answer.status == 201
    else:
        assert (answer.status, answer.body["code"]) == (422, "invalid_model")


def test_a_deleted_model_takes_its_file_with_it(plane: Plane) -> None:
    model = imported(plane)

    assert plane("DELETE", "/v1/models/1").status == 204
    assert plane("GET", "/v1/models/1").status == 404
    assert plane.ports.blobs.stat(upload_key("a", model["sha256"])) is None


def test_a_file_stays_while_another_model_has_it(plane: Plane) -> None:
    model = imported(plane)
    imported(plane)

    plane("DELETE", "/v1/models/1")

    assert plane.ports.blobs.stat(upload_key("a", model["sha256"])) is not None


def test_a_model_in_use_cannot_be_deleted_and_the_users_are_named(plane: Plane) -> None:
    stream = deployed(plane)
    volume_id = filled_volume(plane)
    plane.made("/v1/batches", {"model_id": 1, "volume_id": volume_id})
    plane.made(f"/v1/volumes/{volume_id}/triggers", {"model_id": 1})

    answer = plane("DELETE", "/v1/models/1")

    assert answer.status == 409
    for user in (f"stream {stream['id']}", "batch 1", f"trigger of volume {volume_id}"):
        assert user in answer.body["detail"]


def test_a_model_is_free_again_when_its_stream_is_undeployed(plane: Plane) -> None:
    stream = deployed(plane)
    plane("DELETE", f"/v1/streams/{stream['id']}")
    plane.handler("reconcile")({"detail-type": "Scheduled Event"}, None)

    assert plane("DELETE", "/v1/models/1").status == 204


def script(*, has_code: bool = True) -> bytes:
    """The outline of a TorchScript file, or of a state_dict."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        names = [
            "net/data.pkl",
            *(["net/code/__torch__.py", "net/constants.pkl"] if has_code else []),
        ]
        for name in names:
            archive.writestr(name, b"x")
    return file.getvalue()


TENSOR = {"name": "x", "dtype": "float32", "shape": [-1, 3]}


def test_a_file_of_pytorch_is_described_by_its_importer(plane: Plane) -> None:
    body = {"name": "net", "sha256": uploaded(plane, script()), "format": "torchscript"}
    made = {"source": "TorchScript", "tool": "torch 2.13.0", "cases": 2}

    answer = plane(
        "POST", "/v1/models", body | {"inputs": [TENSOR], "outputs": [TENSOR], "conversion": made}
    )

    assert answer.status == 201
    assert answer.body["format"] == "torchscript"
    assert answer.body["inputs"] == [TENSOR]
    assert answer.body["conversion"] == made | {"max_difference": None}


@pytest.mark.parametrize(
    ("content", "body", "sentence"),
    [
        (script(), {"format": "torchscript"}, "not said what the model takes"),
        (script(), {}, "not an ONNX model"),
        (script(), {"format": "pt2", "inputs": [TENSOR], "outputs": [TENSOR]}, "not a .pt2"),
        (script(has_code=False), {"format": "torchscript"}, "not a TorchScript model"),
        (b"junk", {"format": "pt2"}, "not a .pt2 model"),
    ],
)
def test_a_file_that_is_not_what_its_importer_says_is_refused(
    content: bytes, body: dict[str, Any], sentence: str, plane: Plane
) -> None:
    digest = uploaded(plane, content)
    answer = plane("POST", "/v1/models", {"name": "net", "sha256": digest} | body)
    assert answer.status == 422
    assert sentence in answer.body["title"]
    assert plane("GET", "/v1/models").body["items"] == []


def test_a_variant_knows_its_parent_and_how_near_it_is(plane: Plane) -> None:
    parent = imported(plane)["id"]

    told = {"precision": "int8", "method": "static", "parent_id": parent, "accuracy": ACCURACY}
    model = imported(plane, variant=told)

    shown = plane.shown(f"/v1/models/{model['id']}")["variant"]
    assert {**shown, "accuracy": None} == {**told, "accuracy": None}
    assert shown["accuracy"].items() >= ACCURACY.items()


def test_a_variant_of_a_model_that_is_not_there_is_refused(plane: Plane) -> None:
    digest = uploaded(plane, onnx_bytes())
    told = {"precision": "int8", "parent_id": 7, "accuracy": ACCURACY}

    answer = plane("POST", "/v1/models", {"name": "m", "sha256": digest, "variant": told})

    assert answer.status == 404
    assert plane.shown("/v1/models")["items"] == []


def test_the_file_of_a_model_can_be_fetched(plane: Plane) -> None:
    model = imported(plane)

    found = plane.shown(f"/v1/models/{model['id']}/file")

    assert found["sha256"] == model["sha256"]
    assert found["size_bytes"] == len(onnx_bytes())
    assert found["request"]["method"] == "GET"
    assert plane("GET", "/v1/models/9/file").status == 404
