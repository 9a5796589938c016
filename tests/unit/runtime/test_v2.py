"""The Open Inference Protocol V2 over HTTP, on real models."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from hookline.core.secrets import digest
from hookline.runtime.items import Item, Outcomes
from hookline.runtime.pipeline import Pipeline
from tests import onnx_models
from tests.unit.runtime.bodies import encoded
from tests.unit.runtime.speaking import asked, told

INFER = "/v2/models/tiny/infer"
TOKEN = "ab" * 32


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    return onnx_models.linear(tmp_path / "linear.onnx")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return onnx_models.two_in_two_out(tmp_path / "two.onnx")


def png(color: tuple[int, int, int], size: tuple[int, int]) -> bytes:
    return encoded(Image.new("RGB", size, color))


def f32(values: Any) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)


def tensor(name: str, rows: Any, datatype: str = "FP32") -> dict[str, Any]:
    shape = list(np.asarray(rows).shape)
    return {"name": name, "shape": shape, "datatype": datatype, "data": rows}


def with_binary(request: dict[str, Any], *tensors: bytes) -> dict[str, Any]:
    """The request's body and its headers."""
    text = json.dumps(request).encode()
    return {
        "content": b"".join([text, *tensors]),
        "headers": {"Inference-Header-Content-Length": str(len(text))},
    }


def binary_in(answer: httpx2.Response) -> tuple[dict[str, Any], bytes]:
    """The JSON of an answer, and what follows it."""
    length = int(answer.headers["Inference-Header-Content-Length"])
    return json.loads(answer.content[:length]), answer.content[length:]


def test_rows_are_answered_in_json(linear: Path) -> None:
    rows = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]]
    body = {"id": "a-7", "inputs": [tensor("x", rows)]}
    answer = asked(linear, "POST", INFER, json=body)
    assert answer.status_code == 200
    told_back = answer.json()
    (output,) = told_back.pop("outputs")
    assert told_back == {"model_name": "tiny", "model_version": "7", "id": "a-7"}
    assert (output["name"], output["datatype"], output["shape"]) == ("scores", "FP32", [2, 3])
    scores = np.array(output["data"]).reshape(2, 3)
    assert scores.argmax(axis=1).tolist() == [0, 2]
    assert scores.sum(axis=1) == pytest.approx([1, 1])


def test_flat_data_is_the_same_as_nested(linear: Path) -> None:
    async def both(client: httpx2.AsyncClient) -> list[Any]:
        nested = tensor("x", [[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]])
        flat = {**nested, "data": [1, 2, 3, 4, 4, 3, 2, 1]}
        return [(await client.post(INFER, json={"inputs": [one]})).json() for one in (nested, flat)]

    nested, flat = told(linear, both)
    assert nested == flat


def test_several_inputs_and_outputs_go_by_name(two: Path) -> None:
    inputs = [tensor("b", [[1.0, 2.0]]), tensor("a", [[10.0, 20.0]])]
    wanted = [{"name": "difference"}, {"name": "total"}]
    answer = asked(two, "POST", INFER, json={"inputs": inputs, "outputs": wanted}).json()
    assert [(one["name"], one["data"]) for one in answer["outputs"]] == [
        ("difference", [9.0, 18.0]),
        ("total", [11.0, 22.0]),
    ]


def test_tensors_may_be_bytes_behind_the_json(two: Path) -> None:
    a, b = f32([[10, 20], [30, 40]]), f32([[1, 2], [3, 4]])
    request = {
        "inputs": [
            {"name": n, "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}}
            for n in "ab"
        ],
        "parameters": {"binary_data_output": True},
        "outputs": [
            {"name": "total", "parameters": {"binary_data": False}},
            {"name": "difference"},
        ],
    }
    answer = asked(two, "POST", INFER, **with_binary(request, a.tobytes(), b.tobytes()))
    assert answer.headers["content-type"] == "application/octet-stream"
    header, rest = binary_in(answer)
    assert header["outputs"][0]["data"] == [11.0, 22.0, 33.0, 44.0]
    assert header["outputs"][1]["parameters"] == {"binary_data_size": 16}
    assert np.frombuffer(rest, np.float32).tolist() == [9.0, 18.0, 27.0, 36.0]


ONNX_TYPES = {
    "BOOL": (9, "?", [True, False, True]),
    "UINT8": (2, "<u1", [0, 7, 255]),
    "UINT16": (4, "<u2", [0, 7, 65535]),
    "UINT32": (12, "<u4", [0, 7, 2**32 - 1]),
    "UINT64": (13, "<u8", [0, 7, 2**64 - 1]),
    "INT8": (3, "<i1", [-128, 0, 127]),
    "INT16": (5, "<i2", [-(2**15), 0, 2**15 - 1]),
    "INT32": (6, "<i4", [-(2**31), 0, 2**31 - 1]),
    "INT64": (7, "<i8", [-(2**63), 0, 2**63 - 1]),
    "FP16": (10, "<f2", [-1.5, 0.0, 2.5]),
    "FP32": (1, "<f4", [-1.5, 0.1, 3e38]),
    "FP64": (11, "<f8", [-1.5, 0.1, 1e308]),
}


@pytest.mark.parametrize("datatype", ONNX_TYPES)
def test_every_datatype_passes_unchanged_as_bytes(datatype: str, tmp_path: Path) -> None:
    element_type, dtype, values = ONNX_TYPES[datatype]
    model = onnx_models.identity(tmp_path / "m.onnx", ("N", 3), element_type)
    data = np.array([values], dtype).tobytes()
    size = {"binary_data_size": len(data)}
    given = {"name": "x", "shape": [1, 3], "datatype": datatype, "parameters": size}
    request = {"inputs": [given], "parameters": {"binary_data_output": True}}
    header, rest = binary_in(asked(model, "POST", INFER, **with_binary(request, data)))
    assert header["outputs"][0]["datatype"] == datatype
    assert rest == data


@pytest.mark.parametrize("datatype", sorted(ONNX_TYPES.keys() - {"FP16"}))
def test_every_datatype_but_half_floats_passes_unchanged_in_json(
    datatype: str, tmp_path: Path
) -> None:
    element_type, dtype, values = ONNX_TYPES[datatype]
    model = onnx_models.identity(tmp_path / "m.onnx", ("N", 3), element_type)
    answer = asked(model, "POST", INFER, json={"inputs": [tensor("x", [values], datatype)]})
    (output,) = answer.json()["outputs"]
    assert np.array(output["data"], dtype).tolist() == np.array(values, dtype).tolist()


def test_half_floats_have_no_json(tmp_path: Path) -> None:
    model = onnx_models.identity(tmp_path / "m.onnx", ("N", 3), 10)

    async def both(client: httpx2.AsyncClient) -> list[str]:
        size = {"parameters": {"binary_data_size": 6}}
        given = {"name": "x", "shape": [1, 3], "datatype": "FP16", **size}
        tries: list[dict[str, Any]] = [{"json": {"inputs": [tensor("x", [[1, 2, 3]], "FP16")]}}]
        tries.append(with_binary({"inputs": [given]}, bytes(6)))
        return [(await client.post(INFER, **one)).json()["error"] for one in tries]

    assert all("FP16, which has no JSON form" in error for error in told(model, both))


def test_brain_floats_are_read_for_a_model_of_floats(tmp_path: Path) -> None:
    model = onnx_models.identity(tmp_path / "m.onnx")
    data = struct.pack("<3H", 0x3F80, 0xC000, 0x4049)  # 1, -2, 3.140625
    size = {"parameters": {"binary_data_size": 6}}
    request = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "BF16", **size}]}
    answer = asked(model, "POST", INFER, **with_binary(request, data))
    assert answer.json()["outputs"][0]["data"] == [1.0, -2.0, 3.140625]


def test_text_is_bytes_with_a_length_or_json_strings(tmp_path: Path) -> None:
    model = onnx_models.identity(tmp_path / "m.onnx", ("N", 2), onnx_models.STRING)
    texts = ["größe", ""]
    data = b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)
    size = {"parameters": {"binary_data_size": len(data)}}
    request = {
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "BYTES", **size}],
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}, {"name": "y"}],
    }
    header, rest = binary_in(asked(model, "POST", INFER, **with_binary(request, data)))
    assert rest == data
    assert header["outputs"][1]["data"] == texts


def test_numbers_that_are_not_finite_stay_valid_json(tmp_path: Path) -> None:
    model = onnx_models.identity(tmp_path / "m.onnx")
    data = f32([np.nan, -np.inf, 1]).tobytes()
    size = {"parameters": {"binary_data_size": 12}}
    request = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", **size}]}
    answer = asked(model, "POST", INFER, **with_binary(request, data))
    assert answer.json()["outputs"][0]["data"] == ["NaN", "-Infinity", 1.0]


def test_classes_are_told_highest_first_with_their_labels(linear: Path) -> None:
    wanted = [{"name": "scores", "parameters": {"classification": 2}}]
    body = {"inputs": [tensor("x", [[0.0, 9.0, 1.0, 0.0]] * 2)], "outputs": wanted}
    settings = {"labels": ("cat", "dog", "fox")}
    answer = asked(linear, "POST", INFER, json=body, settings=settings)
    (output,) = answer.json()["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 2])
    assert [text.partition(":")[2] for text in output["data"]] == ["1:dog", "2:fox"] * 2


def test_a_raw_request_is_its_only_input(linear: Path) -> None:
    data = f32([0, 0, 5, 0]).tobytes()
    headers = {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"}
    header, rest = binary_in(asked(linear, "POST", INFER, content=data, headers=headers))
    assert header["outputs"][0]["shape"] == [1, 3]
    assert np.frombuffer(rest, np.float32).argmax() == 2


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream"])
def test_a_raw_request_may_be_a_file(kind: str, tmp_path: Path) -> None:
    model = onnx_models.image_mean(tmp_path / "m.onnx")
    headers = {"Inference-Header-Content-Length": "0", "Content-Type": kind}
    content = png((10, 20, 30), (5, 4))
    _, rest = binary_in(asked(model, "POST", INFER, content=content, headers=headers))
    assert np.frombuffer(rest, np.float32).tolist() == [10, 20, 30]


def test_elements_of_bytes_are_files_where_the_model_takes_numbers(tmp_path: Path) -> None:
    model = onnx_models.image_mean(tmp_path / "m.onnx")
    files = [png((10, 20, 30), (5, 4)), png((1, 2, 3), (9, 9))]
    data = b"".join(struct.pack("<I", len(file)) + file for file in files)
    size = {"parameters": {"binary_data_size": len(data)}}
    request = {"inputs": [{"name": "image", "shape": [2, 1], "datatype": "BYTES", **size}]}
    answer = asked(model, "POST", INFER, **with_binary(request, data))
    assert answer.json()["outputs"][0]["data"] == [10, 20, 30, 1, 2, 3]


def test_one_bad_row_fails_the_request_and_says_which(tmp_path: Path) -> None:
    model = onnx_models.image_mean(tmp_path / "m.onnx")
    data = b"".join(
        struct.pack("<I", len(file)) + file for file in (png((1, 2, 3), (5, 4)), b"no image")
    )
    size = {"parameters": {"binary_data_size": len(data), "content_type": "image/png"}}
    request = {"inputs": [{"name": "image", "shape": [2], "datatype": "BYTES", **size}]}
    answer = asked(model, "POST", INFER, **with_binary(request, data))
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("Row 2 failed: The image cannot be decoded.")


def test_a_model_without_rows_takes_one_example(tmp_path: Path) -> None:
    model = onnx_models.identity(tmp_path / "m.onnx", (3,))
    answer = asked(model, "POST", INFER, json={"inputs": [tensor("x", [1.0, 2.0, 3.0])]})
    assert answer.json()["outputs"][0]["shape"] == [3]


def test_rows_of_many_requests_share_batches(linear: Path) -> None:
    async def ask(client: httpx2.AsyncClient) -> tuple[list[Any], Any]:
        bodies = [{"inputs": [tensor("x", [[float(n), 0, 0, 0]] * 3)]} for n in range(20)]
        answers = await asyncio.gather(*[client.post(INFER, json=body) for body in bodies])
        stats = (await client.get("/v2/models/tiny/stats")).json()
        return [answer.json()["outputs"][0] for answer in answers], stats

    outputs, stats = told(linear, ask)
    expected = [np.exp(n) / (np.exp(n) + 2) for n in range(20)]
    assert [output["data"][0] for output in outputs] == pytest.approx(expected)
    assert all(output["shape"] == [3, 3] for output in outputs)
    (one,) = stats["model_stats"]
    assert (one["inference_count"], one["inference_stats"]["success"]["count"]) == (60, 20)
    assert sum(b["batch_size"] * b["compute_infer"]["count"] for b in one["batch_stats"]) == 60
    assert one["execution_count"] < 20
    assert one["inference_stats"]["compute_infer"]["ns"] > 0
    assert one["last_inference"] > 0


def test_a_large_request_is_read_beside_the_loop_and_answered(tmp_path: Path) -> None:
    model = onnx_models.identity(tmp_path / "m.onnx", ("N", 3))
    rows = np.arange(3 * 900, dtype=np.float32).reshape(900, 3)
    pad = " " * 100_000
    text = json.dumps({"inputs": [tensor("x", rows.tolist())]}) + pad
    answer = asked(model, "POST", INFER, content=text)
    assert answer.json()["outputs"][0]["data"] == rows.reshape(-1).tolist()


def test_more_rows_than_may_wait_are_refused_for_good(linear: Path) -> None:
    body = {"inputs": [tensor("x", [[0.0] * 4] * 9)]}
    answer = asked(linear, "POST", INFER, json=body, settings={"max_queue_items": 8})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "not one to infer"),
    "no inputs": ("{}", "missing required field `inputs`"),
    "another name": ({"inputs": [tensor("z", [[0.0] * 4])]}, "The model takes x"),
    "twice": ({"inputs": [tensor("x", [[0.0] * 4])] * 2}, "The model takes x"),
    "another type": ({"inputs": [tensor("x", [[0] * 4], "INT64")]}, "the model takes FP32"),
    "no such type": ({"inputs": [tensor("x", [[0] * 4], "FP8")]}, "There are BOOL"),
    "another shape": ({"inputs": [tensor("x", [[0.0] * 5])]}, "The model takes [-1, 4]"),
    "too few": ({"inputs": [tensor("x", [[0.0] * 4]) | {"shape": [2, 4]}]}, "has the shape [2, 4]"),
    "below zero": ({"inputs": [tensor("x", [[0.0] * 4]) | {"shape": [-1, 4]}]}, "[-1, 4]"),
    "no rows": ({"inputs": [tensor("x", []) | {"shape": [0, 4]}]}, "no rows"),
    "text": ({"inputs": [tensor("x", [["a"] * 4])]}, "not a number"),
    "ragged": ({"inputs": [tensor("x", [[0.0] * 4]) | {"data": [[1], [1, 2]]}]}, "rectangular"),
    "no output": ({"inputs": [tensor("x", [[0.0] * 4])], "outputs": [{"name": "q"}]}, "no output"),
    "sequence": (
        {"inputs": [tensor("x", [[0.0] * 4])], "parameters": {"sequence_id": 3}},
        "there are no sequences",
    ),
    "priority": (
        {"inputs": [tensor("x", [[0.0] * 4])], "parameters": {"priority": 9}},
        "priority is from 1",
    ),
    "shared memory": (
        {"inputs": [tensor("x", [[0.0] * 4]) | {"parameters": {"shared_memory_region": "r"}}]},
        "shared memory",
    ),
    "deep": ('{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":' + "[" * 99_999, "deep"),
    "bytes missing": (
        {
            "inputs": [
                tensor("x", [[0.0] * 4]) | {"data": None, "parameters": {"binary_data_size": 16}}
            ]
        },
        "binary_data_size",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_inferred_is_refused_in_a_sentence(case: str, linear: Path) -> None:
    body, sentence = BAD[case]
    text = body if isinstance(body, str) else json.dumps(body)
    answer = asked(linear, "POST", INFER, content=text)
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/json"
    assert sentence in answer.json()["error"]


def test_bytes_left_over_are_refused(two: Path) -> None:
    given = with_binary({"inputs": [tensor("a", [[1, 2]]), tensor("b", [[1, 2]])]}, b"1234")
    answer = asked(two, "POST", INFER, **given)
    assert (answer.status_code, "4 bytes follow" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("length", ["-1", "x", "99999"])
def test_a_false_length_of_the_json_is_refused(length: str, linear: Path) -> None:
    headers = {"Inference-Header-Content-Length": length}
    assert asked(linear, "POST", INFER, content=b"{}", headers=headers).status_code == 400


def test_a_timeout_in_microseconds_is_kept(tmp_path: Path) -> None:
    model = onnx_models.identity(tmp_path / "m.onnx")
    body = {"inputs": [tensor("x", [[1.0, 2, 3]])], "parameters": {"timeout": 1}}
    answer = asked(model, "POST", INFER, json=body)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")


def test_a_timeout_also_ends_what_runs_already(
    linear: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, run = threading.Event(), Pipeline.run

    def held(self: Pipeline, items: Sequence[Item]) -> Outcomes:
        assert gate.wait(30)
        return run(self, items)

    async def ask(client: httpx2.AsyncClient) -> httpx2.Response:
        body = {"inputs": [tensor("x", [[0.0] * 4])], "parameters": {"timeout": 50_000}}
        try:
            return await client.post(INFER, json=body, timeout=20)
        finally:
            gate.set()

    monkeypatch.setattr(Pipeline, "run", held)
    answer = told(linear, ask)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")


def test_a_model_is_described(two: Path) -> None:
    async def read(client: httpx2.AsyncClient) -> list[Any]:
        paths = ["/v2", "/v2/models/tiny", "/v2/models/23/versions/7", "/v2/models/tiny/config"]
        return [(await client.get(path)).json() for path in paths]

    server, model, again, config = told(two, read)
    assert (server["name"], "binary_tensor_data" in server["extensions"]) == ("hookline", True)
    assert model == again
    assert model == {
        "name": "tiny",
        "versions": ["7"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": n, "datatype": "FP32", "shape": [-1, 2]} for n in "ab"],
        "outputs": [
            {"name": n, "datatype": "FP32", "shape": [-1, 2]} for n in ("total", "difference")
        ],
    }
    assert config["max_batch_size"] == 8
    assert config["input"][0] == {"name": "a", "data_type": "TYPE_FP32", "dims": [2]}


@pytest.mark.parametrize(
    "path", ["/v2/models/other", "/v2/models/tiny/versions/8", "/v2/models/other/ready"]
)
def test_a_name_or_version_that_is_not_served_is_not_found(path: str, linear: Path) -> None:
    answer = asked(linear, "GET", path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.json()["error"]


def test_health_and_readiness_are_told(linear: Path) -> None:
    async def read(client: httpx2.AsyncClient) -> list[Any]:
        paths = ["/v2/health/live", "/v2/health/ready", "/v2/models/tiny/ready"]
        return [(await client.get(path)).json() for path in paths]

    live, ready, model = told(linear, read)
    assert (live, ready["ready"], model) == ({"live": True}, True, {"name": "tiny", "ready": True})


def test_the_repository_lists_the_model_and_loads_no_other(linear: Path) -> None:
    async def ask(client: httpx2.AsyncClient) -> list[httpx2.Response]:
        paths = ["/v2/repository/index", "/v2/repository/models/tiny/unload"]
        return [await client.post(path) for path in paths]

    index, unload = told(linear, ask)
    assert index.json() == [{"name": "tiny", "version": "7", "state": "READY", "reason": ""}]
    assert (unload.status_code, unload.json()["code"]) == (501, "unsupported")


def test_compressed_requests_are_refused_clearly(linear: Path) -> None:
    answer = asked(linear, "POST", INFER, content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415


@pytest.mark.parametrize("path", ["/v2/models/tiny", "/v2/models/tiny/stats", "/v1/models/tiny"])
def test_a_model_is_shown_to_those_with_the_token(path: str, linear: Path) -> None:
    settings = {"token_sha256": (digest(TOKEN),)}
    assert asked(linear, "GET", path, settings=settings).status_code == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert asked(linear, "GET", path, settings=settings, headers=headers).status_code == 200


def test_the_token_may_stand_before_the_path(linear: Path) -> None:
    settings = {"token_sha256": (digest(TOKEN),)}
    body = {"inputs": [tensor("x", [[0.0] * 4])]}
    good = asked(linear, "POST", f"/predictions/{TOKEN}{INFER}", json=body, settings=settings)
    bad = asked(linear, "POST", f"/predictions/{TOKEN}0{INFER}", json=body, settings=settings)
    assert (good.status_code, bad.status_code) == (200, 401)
