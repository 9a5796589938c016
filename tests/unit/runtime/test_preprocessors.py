from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hookline.core.errors import HooklineError, InvalidInput, UnsupportedMediaType
from hookline.runtime.model import Model
from tests import onnx_models
from tests.unit.runtime.bodies import RGB, encoded, fitted, load, npy, prepared


@pytest.fixture
def rgb_model(tmp_path: Path) -> Model:
    return load(onnx_models.image_mean(tmp_path / "rgb.onnx"))


@pytest.fixture
def numbers_model(tmp_path: Path) -> Model:
    return load(onnx_models.identity(tmp_path / "numbers.onnx"))


@pytest.mark.parametrize(
    "body", [b"[1, 2, 3]", b"[[1, 2, 3]]", b"[1.0, 2, 3e0]", b'{"x": [1, 2, 3]}', b" [1,2,3]\n"]
)
def test_json_is_one_example_nested_or_flat_or_keyed(body: bytes, numbers_model: Model) -> None:
    assert fitted(body, "application/json", numbers_model) == [1, 2, 3]


def test_a_flat_list_fills_an_image(rgb_model: Model) -> None:
    flat = str(list(range(60))).encode()
    assert fitted(flat, "application/json", rgb_model) == (
        np.arange(60).reshape(3, 4, 5).astype(float).tolist()
    )


def test_keyed_json_fills_several_inputs(tmp_path: Path) -> None:
    model = load(onnx_models.two_in_two_out(tmp_path / "m.onnx"))
    found = model.fit(prepared(b'{"b": [3, 4], "a": [[1, 2]]}', "application/json", model))
    assert {name: value.tolist() for name, value in found.items()} == {"a": [1, 2], "b": [3, 4]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"NaN",
        b"[NaN, 1, 2]",
        b"[Infinity, 1, 2]",
        b"[1e400, 1, 2]",
        b"[1e39, 1, 2]",
        b"[" + b"9" * 5000 + b", 1, 2]",
        b"[123456789012345678901234567890, 1, 2]",
        b"[" * 100_000,
        b"[" * 100 + b"1" + b"]" * 100,
        b'{"x": [1, 2, 3], "x": [4, 5, 6]}',
        b'{"x": [1, 2, 3], "\\u0078": [4, 5, 6]}',
        b"[1, 2, 3] trailing",
        b"[1, 2, 3,]",
        b"[1, 2",
        b'["1", "2", "3"]',
        b"[1, null, 3]",
        b"[[1], [2, 3]]",
        b"[1, 2]",
        b"[[[1, 2, 3]]]",
        b"[]",
        b"{}",
        b'{"y": [1, 2, 3]}',
        b'{"x": [1, 2, 3], "y": [1]}',
        b'{"x": {"a": 1}}',
        b'"text"',
        b"true",
        b"null",
        b"a=1&b=2",
        b"\xef\xbb\xbf[1, 2, 3]",
        "[1, 2, 3]".encode("utf-16"),
        b'["\\ud800", 1, 2]',
        b'["\xff", 1, 2]',
    ],
)
def test_bad_json_is_the_callers_fault(body: bytes, numbers_model: Model) -> None:
    with pytest.raises(InvalidInput):
        fitted(body, "application/json", numbers_model)


@pytest.mark.parametrize("body", [b"[300]", b"[-129]", b"[1.5]", b"[true, 1, 2]"])
def test_json_that_a_small_integer_cannot_hold_is_refused(body: bytes, tmp_path: Path) -> None:
    model = load(onnx_models.identity(tmp_path / "m.onnx", ("N", 1), onnx_models.INT8))
    with pytest.raises(InvalidInput):
        fitted(body, "application/json", model)


def test_json_keeps_minus_zero(numbers_model: Model) -> None:
    assert str(fitted(b"[-0.0, 0, 0]", "application/json", numbers_model)[0]) == "-0.0"


@pytest.mark.parametrize("body", [b"1,2,3", b"1, 2, 3\n", b"1,2,3\r\n\r\n", b"\xef\xbb\xbf1,2,3"])
def test_a_csv_row_is_a_vector(body: bytes, numbers_model: Model) -> None:
    assert fitted(body, "text/csv", numbers_model) == [1, 2, 3]


def test_csv_rows_are_a_matrix(tmp_path: Path) -> None:
    model = load(onnx_models.identity(tmp_path / "m.onnx", ("N", 2, 2)))
    assert fitted(b"1,2\n3,4", "text/csv", model) == [[1, 2], [3, 4]]


def test_csv_of_a_model_of_strings_stays_text(tmp_path: Path) -> None:
    model = load(onnx_models.text(tmp_path / "m.onnx"))
    assert fitted(b'"a, b"', "text/csv", model) == ["a, b"]


@pytest.mark.parametrize(
    "body",
    [b"", b"\n", b"a,b,c", b"1,2,", b"1,nan,3", b"1,inf,3", b"1,2\n3", b"1,2", b"\xff", b'"1'],
)
def test_bad_csv_is_the_callers_fault(body: bytes, numbers_model: Model) -> None:
    with pytest.raises(InvalidInput):
        fitted(body, "text/csv", numbers_model)


@pytest.mark.parametrize(
    "array", [np.array([1.0, 2, 3]), np.array([[1, 2, 3]]), np.asfortranarray([[1, 2, 3]])]
)
def test_an_npy_array_fits_like_any_other(
    array: np.ndarray[Any, Any], numbers_model: Model
) -> None:
    assert fitted(npy(array), "application/x-npy", numbers_model) == [1, 2, 3]


class Canary:
    """Unpickling one of these would make a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("unpickled", "w"))


def pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Canary()], object), allow_pickle=True)
    return file.getvalue()


def npy_claiming(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(12)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x93NUMPY",
        b"not npy",
        b"PK\x03\x04",
        npy(np.zeros(3))[:-1],
        npy(np.zeros(3)) + b"x",
        npy(np.zeros(4)),
        npy(np.array(["a", "b", "c"])),
        npy(np.zeros(3, complex)),
        npy_claiming("(1000000000000,)"),
        npy_claiming("(-3,)"),
        npy_claiming("(4611686018427387904, 4, 3)"),
        npy_claiming("(" * 50),
        npy_claiming("'three'"),
        npy_claiming("(1.5,)"),
        npy(np.zeros(3)).replace(b" 'shape'", b"b'shape'"),
    ],
)
def test_bad_npy_is_the_callers_fault(body: bytes, numbers_model: Model) -> None:
    with pytest.raises(InvalidInput):
        fitted(body, "application/x-npy", numbers_model)


def test_a_pickle_inside_npy_is_never_loaded(
    numbers_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="never unpickled"):
        prepared(pickled(), "application/x-npy", numbers_model)
    assert not (tmp_path / "unpickled").exists()


def test_text_fills_a_model_of_strings(tmp_path: Path) -> None:
    model = load(onnx_models.text(tmp_path / "m.onnx"))
    assert fitted("hé\n".encode(), "text/plain", model) == ["hé\n"]
    assert fitted("hé".encode("latin-1"), "text/plain; charset=ISO-8859-1", model) == ["hé"]
    with pytest.raises(InvalidInput, match="UTF-8"):
        fitted(b"\xff", "text/plain", model)


def test_a_model_of_numbers_takes_no_text(numbers_model: Model) -> None:
    with pytest.raises(UnsupportedMediaType, match="takes no text"):
        prepared(b"1", "text/plain", numbers_model)


@pytest.mark.parametrize("mime_type", ["APPLICATION/JSON", 'application/json; charset="UTF-8"'])
def test_case_and_parameters_of_the_type_do_not_matter(
    mime_type: str, numbers_model: Model
) -> None:
    assert fitted(b"[1,2,3]", mime_type, numbers_model) == [1, 2, 3]


@pytest.mark.parametrize(
    ("body", "name"), [(encoded(RGB), ""), (encoded(RGB, "WEBP"), ""), (encoded(RGB), "a.png")]
)
@pytest.mark.parametrize("mime_type", ["", "application/octet-stream"])
def test_an_untyped_body_is_known_by_its_name_or_first_bytes(
    body: bytes, name: str, mime_type: str, rgb_model: Model
) -> None:
    assert prepared(body, mime_type, rgb_model, name).shape == (3, 4, 5)


@pytest.mark.parametrize(
    "mime_type",
    [
        "",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/vnd.x+pickle",
        "json",
    ],
)
def test_an_unknown_type_is_refused_with_the_list(mime_type: str, numbers_model: Model) -> None:
    with pytest.raises(UnsupportedMediaType, match=r"application/json.*image/\*"):
        prepared(b"[1,2,3]", mime_type, numbers_model)


def test_a_charset_that_lies_is_the_callers_fault(numbers_model: Model) -> None:
    for charset in ("utf-16", "zlib", "nonsense"):
        with pytest.raises(HooklineError) as caught:
            prepared(b"[1,2,3]x", f"application/json; charset={charset}", numbers_model)
        assert caught.value.status in (415, 422)


def test_a_model_of_numbers_never_loads_pillow() -> None:
    program = "import hookline.runtime.pipeline, sys; sys.exit('PIL' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.returncode == 0
