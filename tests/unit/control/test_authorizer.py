from __future__ import annotations

from typing import Any

import pytest

from hookline.control import authorizer
from hookline.control.users import bootstrap
from hookline.core.ports import Ports
from hookline.core.records import PLATFORM, Credential
from hookline.core.secrets import digest, new_key
from tests.fakes import FakeClock
from tests.unit.control.content import deployed
from tests.unit.control.events import Plane


def ask(ports: Ports, authorization: str | None) -> dict[str, Any]:
    headers = {} if authorization is None else {"authorization": authorization}
    return authorizer.build(ports)(
        {"version": "2.0", "type": "REQUEST", "routeKey": "GET /v1/me", "headers": headers}, None
    )


def test_a_key_speaks_for_its_user(ports: Ports) -> None:
    key = bootstrap(ports, "a", "ada")

    assert ask(ports, f"Bearer {key}") == {
        "isAuthorized": True,
        "context": {"tenant": "a", "user": "ada", "role": "admin"},
    }
    assert ask(ports, f"bearer {key}")["isAuthorized"]


def test_each_key_speaks_for_its_own_tenant(ports: Ports) -> None:
    keys = {tenant: bootstrap(ports, tenant, "ada") for tenant in ("a", "b")}

    for tenant, key in keys.items():
        assert ask(ports, f"Bearer {key}")["context"]["tenant"] == tenant


def spellings(key: str) -> list[str | None]:
    """What is not exactly the key."""
    return [
        None,
        "",
        "Bearer",
        "Bearer ",
        key,
        f"Basic {key}",
        f"Bearer  {key}",
        f" Bearer {key}",
        f"Bearer {key} ",
        f"Bearer {key}\n",
        f"Bearer {key}, Bearer {key}",
        f"Bearer {key[:-1]}",
        f"Bearer {key}0",
        f"Bearer {key.upper()}",
        f"Bearer {key.removeprefix('hk_')}",
        f"Bearer {key[:-1]}\u0663",
        f"Bearer {digest(key)}",
        f"Bearer {new_key()}",
        "Bearer hk_" + "0" * 64,
        "Bearer \ud800",
    ]


@pytest.mark.parametrize("index", range(len(spellings(new_key()))))
def test_only_the_exact_key_is_let_in(ports: Ports, index: int) -> None:
    key = bootstrap(ports, "a", "ada")

    assert ask(ports, spellings(key)[index]) == {"isAuthorized": False, "context": {}}


def test_an_expired_key_is_refused(ports: Ports, clock: FakeClock) -> None:
    key = new_key()
    ports.catalog.put(
        Credential(
            sha256=digest(key), owner="a", user="ada", created_at=clock(), expires_at=clock() + 60
        )
    )

    assert ask(ports, f"Bearer {key}")["isAuthorized"]
    clock.advance(60)
    assert not ask(ports, f"Bearer {key}")["isAuthorized"]


def test_a_presigned_token_opens_no_control_operation(plane: Plane) -> None:
    token = deployed(plane)["presigned_token"]

    assert not ask(plane.ports, f"Bearer {token}")["isAuthorized"]


def test_a_credential_of_a_stream_is_no_key_even_if_it_looks_like_one(ports: Ports) -> None:
    key = new_key()
    ports.catalog.put(Credential(sha256=digest(key), owner="a", stream_id=1, created_at=1.0))

    assert not ask(ports, f"Bearer {key}")["isAuthorized"]


def test_a_revoked_key_is_refused_at_once(ports: Ports) -> None:
    key = bootstrap(ports, "a", "ada")
    credential = ports.catalog.get(Credential, PLATFORM, digest(key))
    assert credential is not None
    ports.catalog.delete(credential)

    assert not ask(ports, f"Bearer {key}")["isAuthorized"]
