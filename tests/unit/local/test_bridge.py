from __future__ import annotations

import base64
import json

import pytest

from hookline.core.ports import Lease, Ports
from hookline.core.routes import Routes
from hookline.core.topology import FUNCTIONS
from hookline.local.bridge import (
    HttpRequest,
    authorizer_event,
    failed_ids,
    handlers,
    http_event,
    sqs_event,
)

REQUEST = HttpRequest(
    method="GET",
    raw_path="/v1/models/7",
    query="limit=2&tag=a&tag=b",
    headers={"authorization": "Bearer hk_x", "host": "localhost"},
    body=b"",
    source_ip="127.0.0.1",
    request_id="r1",
)


def test_an_http_request_becomes_payload_format_2() -> None:
    match = Routes().match("GET", "/v1/models/7")
    event = http_event(REQUEST, match, {"tenant": "acme"})
    assert event["version"] == "2.0"
    assert event["routeKey"] == "GET /v1/models/{model_id}"
    assert event["pathParameters"] == {"model_id": "7"}
    assert event["queryStringParameters"] == {"limit": "2", "tag": "a,b"}
    assert event["requestContext"]["authorizer"] == {"lambda": {"tenant": "acme"}}
    assert event["body"] is None


def test_a_body_travels_in_base64() -> None:
    request = HttpRequest("POST", "/v1/models", "", {}, b"\x00\xff", "::1", "r2")
    event = http_event(request, Routes().match("POST", "/v1/models"), {})
    assert event["isBase64Encoded"]
    assert base64.b64decode(event["body"]) == b"\x00\xff"


def test_the_authorizer_gets_the_key_as_its_identity_source() -> None:
    event = authorizer_event(REQUEST, Routes().match("GET", "/v1/models/7"))
    assert event["type"] == "REQUEST"
    assert event["identitySource"] == ["Bearer hk_x"]


def test_leases_become_an_sqs_event() -> None:
    lease = Lease(queue="plan", message_id="m1", body=b'{"a": 1}', receipt="r", attempts=3)
    [record] = sqs_event([lease])["Records"]
    assert record["messageId"] == "m1"
    assert json.loads(record["body"]) == {"a": 1}
    assert record["attributes"]["ApproximateReceiveCount"] == "3"


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        ({"batchItemFailures": [{"itemIdentifier": "m1"}]}, {"m1"}),
        ({"batchItemFailures": []}, set()),
        (None, set()),
        ({}, set()),
    ],
)
def test_only_the_messages_named_have_failed(answer: object, failed: set[str]) -> None:
    assert failed_ids(answer) == failed


def test_every_function_of_the_topology_can_be_built(ports: Ports) -> None:
    built = handlers(ports, {"reconcile": {"workers": 1}})
    assert built.keys() == {function.name for function in FUNCTIONS}
    assert all(callable(handler) for handler in built.values())
