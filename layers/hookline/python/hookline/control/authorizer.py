"""Decides who a request speaks for: API Gateway's Lambda authorizer, payload 2.0, simple answer."""

from __future__ import annotations

import re
from typing import Any

from hookline.core.ports import Ports
from hookline.core.records import PLATFORM, Credential
from hookline.core.secrets import digest, same
from hookline.core.topology import Handler

_BEARER = re.compile(r"(?i:bearer) (hk_[0-9a-f]{64})")

REFUSED: dict[str, Any] = {"isAuthorized": False, "context": {}}


def build(ports: Ports) -> Handler:
    """The handler. A key speaks for its user; a presigned token is not a key."""

    def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
        credential = _credential(ports, _key(event))
        if credential is None:
            return REFUSED
        return {
            "isAuthorized": True,
            "context": {
                "tenant": credential.owner,
                "user": credential.user,
                "role": credential.role,
            },
        }

    return handle


def _key(event: dict[str, Any]) -> str:
    """The key in the one Authorization header, "" if there is none."""
    found = _BEARER.fullmatch(event.get("headers", {}).get("authorization", ""))
    return found[1] if found else ""


def _credential(ports: Ports, key: str) -> Credential | None:
    # The lookup is by hash, so its time says nothing of the secret; the comparison neither. What is
    # not a key at all is looked up like any other, and takes as long.
    sha256 = digest(key)
    found = ports.catalog.get(Credential, PLATFORM, sha256)
    is_key = found is not None and same(found.sha256, sha256) and found.stream_id is None
    if found is None or not is_key:
        return None
    has_expired = found.expires_at is not None and found.expires_at <= ports.clock()
    return None if has_expired else found
