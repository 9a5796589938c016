"""Paths of the gateway: which stream they mean, and what its replica is asked."""

from __future__ import annotations

import pytest

from hookline.gateway.calls import Call

READ_OR_WRITE = ("GET", "POST")


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/predict", Call()),
        ("/streams/23/predict", Call(stream_id=23)),
        ("/predictions/abc", Call("abc")),
        ("/v2", Call(path=b"/v2", methods=READ_OR_WRITE)),
        ("/v2/health/ready", Call(path=b"/v2/health/ready", methods=READ_OR_WRITE)),
        ("/v2/models/a%2Fb/infer", Call(path=b"/v2/models/a%2Fb/infer", methods=READ_OR_WRITE)),
        ("/streams/23/v2/models/m", Call("", 23, b"/v2/models/m", READ_OR_WRITE)),
        ("/predictions/abc/ping", Call("abc", None, b"/ping", READ_OR_WRITE)),
        ("/predictions/a%62c/v2", Call("abc", None, b"/v2", READ_OR_WRITE)),
        (
            "/streams/23/v1/models/m:predict",
            Call("", 23, b"/v1/models/m:predict", READ_OR_WRITE),
        ),
        (
            "/predictions/abc/endpoints/digits/invocations",
            Call("abc", None, b"/endpoints/digits/invocations", READ_OR_WRITE),
        ),
    ],
)
def test_a_path_says_stream_and_operation(path: str, call: Call) -> None:
    assert Call.of(path, path.encode()) == call


@pytest.mark.parametrize(
    "path",
    ["/streams/12345678901/predict", "/streams/\u0663/predict", "/predictions/a/b", "/predictions/",
     "/predict/", "/", "/ping", "/v1/models", "/v1/models/2", "/streams/23", "/streams/x/v2",
     "/streams/23/v3",     "/v22", "/invocations", "/streams/23/predict/x"],
)  # fmt: skip
def test_other_paths_are_left_alone(path: str) -> None:
    assert Call.of(path, path.encode()) is None


@pytest.mark.parametrize(
    ("path", "is_plain"),
    [("/predict", False), ("/v2/models/m", True), ("/predictions/t/v1/models/m", True),
     ("/predictions/t/invocations", True), ("/streams/1/ping", False)],
)  # fmt: skip
def test_protocols_have_errors_of_their_own_form(path: str, is_plain: bool) -> None:  # noqa: FBT001 - a parameter
    call = Call.of(path, path.encode())
    assert call is not None
    assert call.is_plain == is_plain
