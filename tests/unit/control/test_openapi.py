from __future__ import annotations

import json
import re
from typing import Any

from aws_lambda_powertools.event_handler.openapi.models import OpenAPI

from hookline.core.topology import FUNCTIONS, PUBLIC_ROUTES, Route
from tests.unit.control.events import Plane


def described(plane: Plane) -> dict[str, Any]:
    document: dict[str, Any] = plane.shown("/openapi.json", who={})
    return document


def operations(document: dict[str, Any]) -> dict[Route, dict[str, Any]]:
    return {
        Route(method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_anyone_may_read_it_and_it_lists_every_operation(plane: Plane) -> None:
    document = described(plane)

    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "hookline"
    assert set(operations(document)) == {route for f in FUNCTIONS for route in f.routes}


def test_it_is_a_valid_description(plane: Plane) -> None:
    document = described(plane)

    OpenAPI.model_validate(document)
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        found: Any = document
        for part in reference.split("/"):
            found = found[part]
        assert found


def test_every_operation_has_its_own_id_and_words(plane: Plane) -> None:
    found = operations(described(plane))

    assert len({operation["operationId"] for operation in found.values()}) == len(found)
    assert all(operation["summary"].endswith(".") for operation in found.values())


def test_every_operation_but_the_description_takes_a_key(plane: Plane) -> None:
    document = described(plane)

    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for route, operation in operations(document).items():
        expected: object = None if route in PUBLIC_ROUTES else [{"key": []}]
        assert operation.get("security") == expected


def test_every_operation_says_what_a_failure_looks_like(plane: Plane) -> None:
    document = described(plane)

    for operation in operations(document).values():
        assert "application/problem+json" in operation["responses"]["default"]["content"]
        assert set(operation["responses"]) & {"200", "201", "202", "204"}
    assert "code" in document["components"]["schemas"]["Problem"]["required"]


def test_bodies_refuse_unknown_fields_and_ids_are_integers(plane: Plane) -> None:
    document = described(plane)

    assert document["components"]["schemas"]["NewStream"]["additionalProperties"] is False
    show = document["paths"]["/v1/models/{model_id}"]["get"]
    assert show["parameters"][0]["schema"]["type"] == "integer"


def test_creating_operations_take_an_idempotency_key(plane: Plane) -> None:
    found = operations(described(plane))

    names = [p["name"] for p in found[Route("POST", "/v1/streams")]["parameters"]]
    assert names == ["Idempotency-Key"]
