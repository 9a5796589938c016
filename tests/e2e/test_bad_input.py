"""Bad input: a clear answer with a code, and everyone else goes on."""

from __future__ import annotations

import io
import socket
import struct
import tomllib
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from tests.e2e.cloud import Cloud, digit_files, until

IMAGE = digit_files()[0]


@pytest.fixture(scope="module")
def token(cloud: Cloud, model_id: str) -> str:
    return str(cloud.ask("model", "deploy", model_id, "--wait")["presigned_token"])


def huge_png() -> bytes:
    """A valid PNG of a few bytes that declares 60,000 × 60,000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_wrong_token_is_unauthenticated(cloud: Cloud) -> None:
    for wrong in ("0" * 64, "x", "hk_" + "0" * 64):
        response = cloud.predict(wrong, IMAGE.read_bytes())
        assert response.status_code == 401
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["code"] == "unauthenticated"


@pytest.mark.parametrize("path", ["/predict", "/streams/1/predict", "/predictions/x"])
def test_a_prediction_that_is_not_posted_names_the_method(cloud: Cloud, path: str) -> None:
    response = httpx2.get(f"{cloud.endpoint}{path}")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("PATCH", "/v1/models/1", 405, "GET, DELETE"),
        ("PUT", "/v1/streams", 405, "POST, GET"),
        ("GET", "/v1/nothing", 404, None),
    ],
)
def test_a_wrong_method_on_the_control_api_names_the_right_ones(
    cloud: Cloud, method: str, path: str, status: int, allow: str | None
) -> None:
    profile = tomllib.loads((cloud.home / "profile.toml").read_text())["profiles"]["default"]
    headers = {"Authorization": f"Bearer {profile['key']}"}
    response = httpx2.request(method, f"{cloud.endpoint}{path}", headers=headers)
    assert (response.status_code, response.headers.get("allow")) == (status, allow)
    assert response.headers["content-type"] == "application/problem+json"
    assert httpx2.request(method, f"{cloud.endpoint}{path}").status_code == 401


def test_a_wrong_mime_type_names_the_right_ones(cloud: Cloud, token: str) -> None:
    response = cloud.predict(token, b"hello", "application/pdf")
    assert response.status_code == 415
    assert response.json()["code"] == "unsupported_media_type"
    assert "image/" in response.text
    assert "application/json" in response.text


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("empty", b""),
        ("truncated", IMAGE.read_bytes()[:60]),
        ("text", b"this is not an image"),
        ("bomb", huge_png()),
    ],
)
def test_an_image_that_is_none_is_refused(cloud: Cloud, token: str, name: str, body: bytes) -> None:
    response = cloud.predict(token, body)
    assert response.status_code == 422, name
    assert response.json()["code"] == "invalid_input"
    assert cloud.predict(token, IMAGE.read_bytes()).status_code == 200


def test_json_that_does_not_fit_names_both_shapes(cloud: Cloud, token: str) -> None:
    response = cloud.predict(token, b"[1, 2, 3]", "application/json")
    assert response.status_code == 422
    assert "3" in response.text
    assert "8" in response.text or "32" in response.text or "28" in response.text


@pytest.mark.parametrize(
    "body", [b"[NaN]", b"[Infinity]", b"{", b"[1e999]", b"\xff", b"[[1,2],[3]]"]
)
def test_json_that_is_none_is_refused(cloud: Cloud, token: str, body: bytes) -> None:
    response = cloud.predict(token, body, "application/json")
    assert response.status_code == 422
    assert response.json()["code"] == "invalid_input"


@pytest.mark.parametrize("noun", ["model", "stream", "volume", "batch"])
def test_an_unknown_id_is_named_with_its_kind(cloud: Cloud, noun: str) -> None:
    refused = cloud.run(noun, "show", "4711", status=3)
    assert "4711" in refused.stderr
    assert refused.stdout == ""


def test_a_file_that_is_no_model_is_refused_at_import(cloud: Cloud, tmp_path: Path) -> None:
    for name, body in (("text.onnx", b"hello, world"), ("empty.onnx", b"")):
        path = tmp_path / name
        path.write_bytes(body)
        refused = cloud.run("model", "import", str(path), "--name", "x", status=6)
        assert "Traceback" not in refused.stderr
    assert all(model["name"] != "x" for model in cloud.ask("model", "list"))


def _zip(path: Path, write: Callable[[zipfile.ZipFile], None]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inference.py", "def predict(data, model):\n    return data\n")
        write(archive)


def _link(archive: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("passwd")
    entry.external_attr = 0o120777 << 16
    archive.writestr(entry, "/etc/passwd")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("climb", lambda archive: archive.writestr("../evil.py", "x")),
        ("absolute", lambda archive: archive.writestr("/tmp/evil.py", "x")),
        ("link", _link),
        ("bomb", lambda archive: archive.writestr("zeros", b"\0" * 150_000_000)),
    ],
)
def test_a_hostile_zip_is_refused_whole(
    cloud: Cloud,
    model_id: str,
    tmp_path: Path,
    name: str,
    write: Callable[[zipfile.ZipFile], None],
) -> None:
    path = tmp_path / f"{name}.zip"
    _zip(path, write)
    refused = cloud.run("model", "deploy", model_id, "-f", str(path), status=6)
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "evil.py").exists()
    assert not Path("/tmp/evil.py").exists()


def test_a_model_that_kills_its_process_fails_alone(
    cloud: Cloud, model_id: str, token: str, tmp_path: Path
) -> None:
    hook = tmp_path / "inference.py"
    hook.write_text("import ctypes\ndef init(prm):\n    ctypes.string_at(0)\n")
    deployed = cloud.ask("model", "deploy", model_id, "-f", str(hook))
    failed = until(lambda: _failed(cloud, deployed["id"]))
    assert "SIGSEGV" in failed["failure"]["message"]
    assert cloud.predict(token, IMAGE.read_bytes()).status_code == 200


def _failed(cloud: Cloud, stream_id: int) -> dict[str, dict[str, str]] | None:
    shown = cloud.ask("stream", "show", str(stream_id))
    return shown if shown["status"] == "Failed" else None


def test_outputs_that_are_not_finite_are_rendered_by_one_policy(
    cloud: Cloud, model_id: str, tmp_path: Path
) -> None:
    hook = tmp_path / "inference.py"
    hook.write_text(
        "import numpy\n"
        "def predict(data, model):\n"
        "    return numpy.array([numpy.nan, numpy.inf, -numpy.inf, 1], dtype='float32')\n"
    )
    stream = cloud.ask("model", "deploy", model_id, "-f", str(hook), "--wait")
    answer = cloud.predict(stream["presigned_token"], IMAGE.read_bytes())
    assert answer.json()["outputs"] == ["NaN", "Infinity", "-Infinity", 1.0]


def test_a_body_over_the_limit_is_refused(cloud: Cloud, token: str) -> None:
    host, _, port = cloud.endpoint.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            b"Authorization: Bearer "
            + token.encode()
            + b"\r\nContent-Length: 1000000000000\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_other_image_modes_are_converted(cloud: Cloud, token: str) -> None:
    for mode in ("RGB", "RGBA", "P", "L", "1", "I;16"):
        file = io.BytesIO()
        Image.new(mode, (20, 30)).save(file, "PNG")
        assert cloud.predict(token, file.getvalue()).status_code == 200, mode


def test_in_a_batch_each_bad_file_is_one_error_row(
    cloud: Cloud, model_id: str, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    bad = {
        "b-empty.png": b"",
        "c-cut.png": IMAGE.read_bytes()[:60],
        "d-bomb.png": huge_png(),
        "e-wrong.pdf": b"x",
        "f-nan.json": b"[NaN]",
    }
    for name, body in {"a.png": IMAGE.read_bytes(), **bad, "z.png": IMAGE.read_bytes()}.items():
        (folder / name).write_bytes(body)
    volume = cloud.ask("volume", "upload", str(folder))
    job = cloud.run(
        "batch", "predict", model_id, str(volume["id"]), "--wait", "-o", "id", status=10
    )
    job_id = job.stdout.strip()
    assert cloud.ask("batch", "show", job_id)["status"] == "CompletedWithErrors"
    rows = cloud.run("batch", "results", job_id).stdout.splitlines()
    assert [row.split(",")[0] for row in rows] == ["a.png", *sorted(bad), "z.png"]
    errors = [row for row in rows if "invalid_input:" in row or "unsupported_media_type:" in row]
    assert len(errors) == len(bad)
