"""What does not fit a request is told in our words, with the field's name."""

from __future__ import annotations

import re
from typing import Annotated, Any

import pytest
from aws_lambda_powertools.event_handler.openapi.params import Body

from hookline.control import app
from hookline.control.paging import Limit
from hookline.core.ports import Ports
from hookline.core.requests import NewStream, NewTrigger, NewUser, WantedFiles
from hookline.core.topology import Handler
from tests.unit.control.events import Answer, event

router = app.Router()
PYDANTICS = re.compile(r"Input should|should have|Value error|Extra inputs|required|pattern|valid ")


@router.post("/streams")
def stream(body: Annotated[NewStream, Body()]) -> None:
    """Take a stream."""


@router.post("/triggers")
def trigger(body: Annotated[NewTrigger, Body()]) -> None:
    """Take a trigger."""


@router.post("/users")
def user(body: Annotated[NewUser, Body()]) -> None:
    """Take a user."""


@router.post("/files")
def files(body: Annotated[WantedFiles, Body()]) -> None:
    """Take names."""


@router.get("/things/<number>")
def things(number: int, limit: Limit = 3) -> None:
    """Take a number and a limit."""


@pytest.fixture
def handle(ports: Ports) -> Handler:
    return app.handler([router], ports)


@pytest.mark.parametrize(
    ("method", "target", "body", "told"),
    [
        ("POST", "/streams", None, "the body is missing."),
        ("POST", "/streams", {}, "model_id is missing."),
        ("POST", "/streams", {"model_id": 1, "colour": 2}, "colour is not known here."),
        ("POST", "/streams", {"model_id": "x"}, "model_id must be a whole number."),
        ("POST", "/streams", {"model_id": 1.5}, "model_id must be a whole number."),
        (
            "POST",
            "/streams",
            {"model_id": 1, "replicas": 99},
            "replicas must be at most 32, not 99.",
        ),
        ("POST", "/streams", {"model_id": 1, "gpus": -1}, "gpus must be at least 0, not -1."),
        ("POST", "/streams", {"model_id": 1, "force": "maybe"}, "force must be true or false."),
        (
            "POST",
            "/streams",
            {"model_id": 1, "formatter_args": []},
            "formatter_args must be an object.",
        ),
        ("POST", "/streams", {"model_id": 1, "bundle": "x"}, "bundle must be an object."),
        (
            "POST",
            "/streams",
            {"model_id": 1, "bundle": {}},
            "bundle: give either sha256 and filename, or volume_id.",
        ),
        (
            "POST",
            "/streams",
            {"model_id": 1, "min_replicas": 4, "max_replicas": 2},
            "min_replicas is at most max_replicas.",
        ),
        (
            "POST",
            "/streams",
            {"model_id": 1, "padding": {"buckets": []}},
            "padding.buckets must have at least 1 entry.",
        ),
        (
            "POST",
            "/streams",
            {"model_id": 1, "padding": {"buckets": [8, 0]}},
            "padding.buckets[1] must be at least 1, not 0.",
        ),
        (
            "POST",
            "/triggers",
            {"model_id": 1, "suffixes": [".a", "b/"]},
            "suffixes[1] must be the end of a file's name, without / and control characters.",
        ),
        (
            "POST",
            "/users",
            {"name": "a b"},
            "name must be 1 to 64 letters, digits and any of ._@+-, a letter or digit first.",
        ),
        ("POST", "/users", {"name": "a", "role": "king"}, "role must be 'admin' or 'user'."),
        ("POST", "/files", {"names": "a"}, "names must be a list."),
        ("POST", "/files", {"names": [1]}, "names[0] must be a text."),
        ("GET", "/things/abc", None, "the path's number must be a whole number."),
        ("GET", "/things/1?limit=0", None, "the parameter limit must be at least 1, not 0."),
    ],
)
def test_a_fault_names_its_field_and_what_is_allowed(
    handle: Handler, method: str, target: str, body: Any, told: str
) -> None:
    answer = Answer.of(handle(event(method, target, body), None))

    assert (answer.status, answer.body["code"]) == (422, "invalid_input")
    assert told in answer.body["detail"]
    assert not PYDANTICS.search(answer.body["detail"])


def test_each_fault_is_a_sentence(handle: Handler) -> None:
    body = {"model_id": "x", "replicas": 99, "colour": 1}
    answer = Answer.of(handle(event("POST", "/streams", body), None))

    assert answer.body["detail"] == (
        "replicas must be at most 32, not 99. model_id must be a whole number. "
        "colour is not known here."
    )
