from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hookline.core.records import PLATFORM, Credential
from hookline.core.secrets import digest
from hookline.core.topology import PLAN
from tests.fakes import FakeClock
from tests.unit.control.content import filled_volume, imported, onnx_bytes, uploaded
from tests.unit.control.events import OTHER, USER, Plane

SAME = {"idempotency-key": "one"}


def model(plane: Plane) -> tuple[str, dict[str, Any], dict[str, Any]]:
    digest = uploaded(plane, onnx_bytes())
    body = {"name": "m", "sha256": digest}
    return "/v1/models", body, {**body, "name": "other"}


def stream(plane: Plane) -> tuple[str, dict[str, Any], dict[str, Any]]:
    imported(plane)
    return "/v1/streams", {"model_id": 1}, {"model_id": 1, "replicas": 2}


def volume(_plane: Plane) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return "/v1/volumes", {"name": "v"}, {"name": "w"}


def trigger(plane: Plane) -> tuple[str, dict[str, Any], dict[str, Any]]:
    imported(plane)
    path = f"/v1/volumes/{filled_volume(plane)}/triggers"
    return path, {"model_id": 1}, {"model_id": 1, "formatter": "classification"}


def batch(plane: Plane) -> tuple[str, dict[str, Any], dict[str, Any]]:
    imported(plane)
    body = {"model_id": 1, "volume_id": filled_volume(plane)}
    return "/v1/batches", body, {**body, "formatter": "classification"}


def user(_plane: Plane) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return "/v1/users", {"name": "uma"}, {"name": "ulf"}


Kind = Callable[[Plane], tuple[str, dict[str, Any], dict[str, Any]]]
KINDS = [model, stream, volume, trigger, batch, user]


def listed(plane: Plane, path: str) -> int:
    return len(plane.shown(path)["items"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_request_twice_makes_one_resource(plane: Plane, kind: Kind) -> None:
    path, body, _ = kind(plane)
    before = listed(plane, path)

    first = plane("POST", path, body, headers=SAME)
    second = plane("POST", path, body, headers=SAME)

    secret = {"presigned_token"}
    assert (first.status, second.status) == (201, 201)
    assert {k: v for k, v in first.body.items() if k not in secret} == {
        k: v for k, v in second.body.items() if k not in secret
    }
    assert listed(plane, path) == before + 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_key_for_another_request_is_refused(plane: Plane, kind: Kind) -> None:
    path, body, other = kind(plane)
    plane.made(path, body, headers=SAME)
    before = listed(plane, path)

    answer = plane("POST", path, other, headers=SAME)

    assert (answer.status, answer.body["code"]) == (422, "idempotency_mismatch")
    assert listed(plane, path) == before


@pytest.mark.parametrize("kind", KINDS)
def test_requests_at_once_make_one_resource(plane: Plane, kind: Kind) -> None:
    path, body, _ = kind(plane)
    before = listed(plane, path)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: plane("POST", path, body, headers=SAME), range(6)))

    assert {answer.status for answer in answers} == {201}
    assert listed(plane, path) == before + 1


def test_numbers_are_given_once_when_many_ask_at_once(plane: Plane) -> None:
    plane.made("/v1/volumes", {"name": "first"})

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: plane.made("/v1/volumes", {"name": f"{n}"})["id"], range(24)))

    assert sorted(ids) == list(range(2, 26))


def test_a_repeated_deployment_gives_a_further_token_of_the_same_stream(plane: Plane) -> None:
    path, body, _ = stream(plane)

    tokens = [plane.made(path, body, headers=SAME)["presigned_token"] for _ in range(2)]

    found = [plane.ports.catalog.get(Credential, PLATFORM, digest(token)) for token in tokens]
    assert [credential.stream_id for credential in found if credential] == [1, 1]


def test_a_repeated_batch_is_planned_once(plane: Plane) -> None:
    path, body, _ = batch(plane)

    for _ in range(2):
        plane.made(path, body, headers=SAME)

    assert len(plane.take(PLAN)) == 1


def test_a_repeated_key_is_not_shown_again(plane: Plane) -> None:
    key = plane.made("/v1/keys", {}, headers=SAME)

    again = plane("POST", "/v1/keys", {}, headers=SAME)

    assert again.status == 409
    assert key["id"] in again.body["hint"]
    assert key["key"] not in str(again.body)
    assert listed(plane, "/v1/keys") == 2


def test_without_a_key_every_request_makes_one(plane: Plane) -> None:
    ids = [plane.made("/v1/volumes", {"name": "v"})["id"] for _ in range(2)]

    assert ids == [1, 2]


def test_the_key_of_another_caller_or_operation_is_another_key(plane: Plane) -> None:
    plane.made("/v1/volumes", {"name": "v"}, headers=SAME)

    assert plane.made("/v1/volumes", {"name": "w"}, headers=SAME, who=USER)["id"] == 2
    assert plane.made("/v1/volumes", {"name": "w"}, headers=SAME, who=OTHER)["id"] == 1
    assert plane.made("/v1/users", {"name": "uma"}, headers=SAME)["name"] == "uma"


def test_a_key_is_forgotten_after_a_day(plane: Plane, clock: FakeClock) -> None:
    plane.made("/v1/volumes", {"name": "v"}, headers=SAME)
    clock.advance(24 * 3600 + 1)

    assert plane.made("/v1/volumes", {"name": "w"}, headers=SAME)["id"] == 2
    assert plane.made("/v1/volumes", {"name": "w"}, headers=SAME)["id"] == 2


def test_a_refused_request_may_be_mended_under_the_same_key(plane: Plane) -> None:
    assert plane("POST", "/v1/streams", {"model_id": 1}, headers=SAME).status == 404
    imported(plane)

    assert plane("POST", "/v1/streams", {"model_id": 1}, headers=SAME).status == 201


def test_a_resource_that_is_gone_is_not_made_again(plane: Plane) -> None:
    plane.made("/v1/volumes", {"name": "v"}, headers=SAME)
    plane("DELETE", "/v1/volumes/1")

    assert plane("POST", "/v1/volumes", {"name": "v"}, headers=SAME).status == 409


def test_an_endless_key_is_refused(plane: Plane) -> None:
    headers = {"idempotency-key": "x" * 256}

    assert plane("POST", "/v1/volumes", {"name": "v"}, headers=headers).status == 400
