from __future__ import annotations

import base64
import json
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import pytest
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from hookline.control import app
from hookline.control.caller import Calling
from hookline.control.openapi import ROUTERS
from hookline.core.errors import NotFound, Overloaded
from hookline.core.ports import Ports
from hookline.core.requests import NewVolume
from hookline.core.topology import FUNCTIONS, Handler, Route
from hookline.core.views.people import MeView
from tests.unit.control.events import OTHER, Answer, Plane, event

router = app.Router()
BARRIER = threading.Barrier(4, timeout=10)


@router.get("/slow/<number>")
def slow(call: Calling, number: int) -> MeView:
    """Answer when four requests are in progress."""
    BARRIER.wait()
    return MeView(tenant=call.tenant, user=f"{call.user} {number}", role="user")


@router.get("/late")
def late() -> MeView:
    """Fail when four requests are in progress."""
    BARRIER.wait()
    raise NotFound("It is not there.")


@router.get("/broken")
def broken() -> MeView:
    """Fail as a bug would."""
    raise ZeroDivisionError("the secret cause")


@router.get("/full")
def full() -> MeView:
    """Fail on purpose."""
    raise Overloaded("Too much to do.", hint="Come back.")


@router.get("/lying")
def lying() -> MeView:
    """Answer something else than promised."""
    return "nonsense"  # type: ignore[return-value]  # the point of the test


@router.post("/echo")
def echo(body: Annotated[NewVolume, Body()]) -> Response[str]:
    """Answer what was sent."""
    return Response(200, "text/plain", body.name)


@pytest.fixture
def handle(ports: Ports) -> Handler:
    return app.handler([router], ports)


def ask(handle: Handler, *request: Any, **options: Any) -> Answer:
    return Answer.of(handle(event(*request, **options), None))


def test_every_route_of_the_topology_is_answered_by_its_function_and_no_other(
    plane: Plane,
) -> None:
    for function in FUNCTIONS:
        for route in function.routes:
            path = re.sub(r"\{\w+\}", "1", route.path)
            answered = [
                other.name
                for other in FUNCTIONS
                if other.routes and _answers(plane, other.name, route.method, path)
            ]
            assert answered == [function.name], route


def _answers(plane: Plane, name: str, method: str, path: str) -> bool:
    answer = Answer.of(plane.handler(name)(event(method, path), None))
    title: str = (answer.body or {}).get("title", "")
    return not title.startswith("There is no operation")


def test_the_routers_have_no_route_that_the_topology_lacks() -> None:
    mine = {Route(method.upper(), path) for method, path, _ in app.Api(ROUTERS).operations()}

    assert mine == {route for function in FUNCTIONS for route in function.routes}


def test_requests_at_once_do_not_mix(handle: Handler) -> None:
    def one(number: int) -> Answer:
        who = {"tenant": f"t{number}", "user": f"u{number}", "role": "user"}
        return ask(handle, "GET", f"/slow/{number}", who=who)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            answers = list(pool.map(one, range(4)))
            assert [answer.body["user"] for answer in answers] == [
                f"u{number} {number}" for number in range(4)
            ]


def test_failures_at_once_carry_the_ids_of_their_own_requests(handle: Handler) -> None:
    def one(number: int) -> Answer:
        request = event("GET", "/late")
        request["requestContext"]["requestId"] = f"r{number}"
        return Answer.of(handle(request, None))

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(one, range(4)))

    assert [answer.body["request_id"] for answer in answers] == ["r0", "r1", "r2", "r3"]


def test_a_bug_answers_500_with_the_request_id_and_nothing_of_its_cause(
    handle: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="hookline"):
        answer = ask(handle, "GET", "/broken")

    assert answer.status == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["request_id"] == "req-1"
    assert "secret" not in json.dumps(answer.body)
    [record] = caplog.records
    assert record.message == "request_failed"
    assert record.exc_info is not None
    assert vars(record)["request_id"] == "req-1"


def test_a_server_fault_of_ours_is_logged_once_and_told(
    handle: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(handle, "GET", "/full")

    assert (answer.status, answer.body["code"], answer.body["hint"]) == (
        503,
        "overloaded",
        "Come back.",
    )
    assert answer.headers["Retry-After"] == "1"
    assert [record.message for record in caplog.records] == ["request_failed"]


def test_an_answer_that_is_not_as_promised_is_an_internal_error(handle: Handler) -> None:
    assert ask(handle, "GET", "/lying").status == 500


def test_the_next_request_is_served_after_any_failure(handle: Handler) -> None:
    ask(handle, "GET", "/broken")

    assert handle(event("POST", "/echo", {"name": "x"}), None)["body"] == "x"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("[", "Expecting value"),
        ('{"name": NaN}', "JSON has no NaN"),
        ('{"name": Infinity}', "JSON has no Infinity"),
        ('{"name": 1e999}', "1e999 is beyond every number"),
        ("[" * 100_000, "nested too deep"),
        ('{"a": ' + "1" * 5000 + "}", "digits"),
        ('{"name": "\\ud800"}', "surrogates not allowed"),
        ("[]", None),
        ('"text"', None),
        ("null", None),
    ],
    ids=["cut", "nan", "infinity", "huge", "deep", "digits", "surrogate", "list", "text", "null"],
)
def test_a_body_that_is_no_json_object_is_a_bad_request(
    handle: Handler, body: str, why: str | None
) -> None:
    answer = ask(handle, "POST", "/echo", body)

    assert (answer.status, answer.body["code"]) == (400, "bad_request")
    assert why is None or why in answer.body["detail"]


def test_a_body_that_is_not_utf8_is_a_bad_request(handle: Handler) -> None:
    request = event("POST", "/echo")
    request["body"] = base64.b64encode(b'{"name": "\xff"}').decode()
    request["isBase64Encoded"] = True

    assert Answer.of(handle(request, None)).status == 400


def test_a_body_in_base64_is_read(handle: Handler) -> None:
    request = event("POST", "/echo")
    request["body"] = base64.b64encode('{"name": "é"}'.encode()).decode()
    request["isBase64Encoded"] = True

    assert handle(request, None)["body"] == "é"


FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_json_that_curl_calls_a_form_is_read(handle: Handler) -> None:
    assert handle(event("POST", "/echo", '{"name": "x"}', headers=FORM), None)["body"] == "x"


def test_a_form_is_not_json(handle: Handler) -> None:
    answer = ask(handle, "POST", "/echo", "name=x", headers=FORM)

    assert (answer.status, answer.body["title"]) == (400, "The body is not valid JSON.")


def test_another_content_type_is_415(handle: Handler) -> None:
    answer = ask(handle, "POST", "/echo", "<a/>", headers={"content-type": "text/xml"})

    assert (answer.status, answer.body["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (None, "the body is missing."),
        ({}, "name is missing."),
        ({"name": "x", "colour": "red"}, "colour is not known here."),
        ({"name": ""}, "name must have at least 1 character."),
        ({"name": "a\nb"}, "name must be a text without control characters."),
    ],
)
def test_a_body_that_does_not_fit_names_each_field(
    handle: Handler, body: object, detail: str
) -> None:
    answer = ask(handle, "POST", "/echo", body)

    assert (answer.status, answer.body["code"]) == (422, "invalid_input")
    assert detail in answer.body["detail"]


def test_a_path_that_is_no_route_names_itself(handle: Handler) -> None:
    answer = ask(handle, "PATCH", "/echo")

    assert answer.status == 404
    assert "PATCH /echo" in answer.body["title"]


@pytest.mark.parametrize("function", ["api", "models"])
def test_a_method_that_a_path_does_not_take_is_405_with_those_it_takes(
    plane: Plane, function: str
) -> None:
    answer = Answer.of(plane.handler(function)(event("PATCH", "/v1/models/7"), None))

    assert (answer.status, answer.body["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, DELETE"
    assert answer.body["title"] == "/v1/models/7 does not take PATCH."


def test_a_request_that_no_authorizer_saw_is_refused(plane: Plane) -> None:
    assert plane("GET", "/v1/me", who={}).status == 401


def test_the_caller_is_who_the_authorizer_says(plane: Plane) -> None:
    assert plane.shown("/v1/me", who=OTHER) == {"tenant": "b", "user": "bob", "role": "admin"}
