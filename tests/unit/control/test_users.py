from __future__ import annotations

import pytest

from hookline.control.credentials import CredentialLink
from hookline.control.users import bootstrap
from hookline.core.records import PLATFORM, Credential, Tenant
from hookline.core.secrets import digest
from tests.unit.control.events import OTHER, USER, Plane


def add_user(plane: Plane, name: str = "uma", role: str = "user") -> None:
    plane.made("/v1/users", {"name": name, "role": role})


def test_bootstrap_makes_a_tenant_an_admin_and_a_key(plane: Plane) -> None:
    key = bootstrap(plane.ports, "c", "cy")

    assert plane.ports.catalog.get(Tenant, PLATFORM, "c") is not None
    credential = plane.ports.catalog.get(Credential, PLATFORM, digest(key))
    assert credential is not None
    assert (credential.owner, credential.user, credential.role) == ("c", "cy", "admin")


def test_bootstrap_again_makes_one_more_key(plane: Plane) -> None:
    assert bootstrap(plane.ports, "a", "ada") != bootstrap(plane.ports, "a", "ada")
    assert len(plane.shown("/v1/keys")["items"]) == 3


def test_an_admin_lets_people_in_and_out(plane: Plane) -> None:
    answer = plane("POST", "/v1/users", {"name": "uma"})

    assert answer.status == 201
    assert answer.body == {"name": "uma", "role": "user", "created_at": "2023-11-14T22:13:20Z"}
    assert [user["name"] for user in plane.shown("/v1/users")["items"]] == ["ada", "uma"]
    assert plane("DELETE", "/v1/users/uma").status == 204
    assert [user["name"] for user in plane.shown("/v1/users")["items"]] == ["ada"]


def test_a_user_exists_once(plane: Plane) -> None:
    add_user(plane)

    answer = plane("POST", "/v1/users", {"name": "uma"})

    assert (answer.status, answer.body["title"]) == (409, "There is a user uma already.")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "-a", "é", "a" * 65, "a\n"])
def test_a_name_that_cannot_be_is_refused(plane: Plane, name: str) -> None:
    assert plane("POST", "/v1/users", {"name": name}).status == 422


def test_users_who_are_not_there_are_named(plane: Plane) -> None:
    answer = plane("DELETE", "/v1/users/zoe")

    assert (answer.status, answer.body["title"]) == (404, "There is no user zoe.")
    assert plane("POST", "/v1/keys", {"user": "zoe"}).status == 404


@pytest.mark.parametrize("path", ["ada%40x.org", "ada@x.org", "%61%64a@x%2Eorg"])
def test_a_name_that_a_url_writes_otherwise_is_found(plane: Plane, path: str) -> None:
    add_user(plane, "ada@x.org")

    assert plane("DELETE", f"/v1/users/{path}").status == 204
    assert "ada@x.org" not in str(plane.shown("/v1/users"))


def test_nobody_deletes_themselves_under_another_spelling(plane: Plane) -> None:
    assert plane("DELETE", "/v1/users/%61da").status == 409


def test_nobody_deletes_themselves(plane: Plane) -> None:
    assert plane("DELETE", "/v1/users/ada").status == 409


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/users", {"name": "x"}),
        ("DELETE", "/v1/users/ada", None),
        ("POST", "/v1/keys", {"user": "ada"}),
    ],
)
def test_what_takes_an_admin_is_forbidden_to_others(
    plane: Plane, method: str, path: str, body: object
) -> None:
    add_user(plane)

    answer = plane(method, path, body, who=USER)

    assert (answer.status, answer.body["code"]) == (403, "forbidden")


def test_a_key_is_shown_once_and_known_by_its_hash(plane: Plane) -> None:
    add_user(plane)

    answer = plane("POST", "/v1/keys", {}, who=USER)

    assert answer.status == 201
    key = answer.body.pop("key")
    assert key.startswith("hk_")
    assert answer.body == {
        "id": digest(key)[:16],
        "label": key[:8],
        "user": "uma",
        "created_at": "2023-11-14T22:13:20Z",
    }
    assert plane.shown("/v1/keys", who=USER)["items"] == [answer.body]
    for record in plane.ports.catalog.query(CredentialLink, "a").items:
        assert key not in record.model_dump_json()


def test_an_admin_makes_and_sees_the_keys_of_others(plane: Plane) -> None:
    add_user(plane)

    key = plane.made("/v1/keys", {"user": "uma"})

    assert key["user"] == "uma"
    assert [item["user"] for item in plane.shown("/v1/keys")["items"]] == ["ada", "uma"]
    assert [item["user"] for item in plane.shown("/v1/keys", who=USER)["items"]] == ["uma"]


def test_a_deleted_key_is_worthless(plane: Plane) -> None:
    key = plane.made("/v1/keys", {})

    assert plane("DELETE", f"/v1/keys/{key['id']}").status == 204
    assert plane.ports.catalog.get(Credential, PLATFORM, digest(key["key"])) is None
    assert plane("DELETE", f"/v1/keys/{key['id']}").status == 404


def test_a_user_cannot_delete_the_key_of_another(plane: Plane) -> None:
    add_user(plane)
    key = plane.made("/v1/keys", {})

    answer = plane("DELETE", f"/v1/keys/{key['id']}", who=USER)

    assert (answer.status, answer.body["title"]) == (404, f"There is no key {key['id']}.")


def test_a_user_who_is_deleted_loses_every_key(plane: Plane) -> None:
    add_user(plane)
    keys = [plane.made("/v1/keys", {"user": "uma"})["key"] for _ in range(3)]

    plane("DELETE", "/v1/users/uma")

    assert [plane.ports.catalog.get(Credential, PLATFORM, digest(key)) for key in keys] == [
        None
    ] * 3
    assert plane("POST", "/v1/keys", {}, who=USER).status == 404


def test_tenants_have_their_own_users_and_keys(plane: Plane) -> None:
    add_user(plane)

    assert [user["name"] for user in plane.shown("/v1/users", who=OTHER)["items"]] == ["bob"]
    assert [key["user"] for key in plane.shown("/v1/keys", who=OTHER)["items"]] == ["bob"]
