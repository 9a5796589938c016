"""The secret that a tenant's notices are signed with, as Standard Webhooks lays down.

A notice carries `webhook-id`, `webhook-timestamp` and `webhook-signature`. After the secret is
replaced, the former one signs as well for a day, so that receivers can change over.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import ClassVar

from hookline.control.transactions import Write, commit
from hookline.core.errors import Conflict
from hookline.core.ports import Ports, Put
from hookline.core.records import Record

PREFIX = "whsec_"
SECRET_BYTES = 32
BOTH_S = 24 * 3600


class SigningSecret(Record):
    """It is needed to sign, so it is stored as it is; nothing shows it again."""

    kind: ClassVar[str] = "signing_secret"
    secret: str
    former: str = ""
    made_at: float

    @property
    def key(self) -> str:
        return "webhook"


def replaced(ports: Ports, tenant: str) -> str:
    """Make the tenant's secret, or another one, and return it."""
    secret = PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()

    def plan() -> tuple[str, list[Write]]:
        stored = ports.catalog.get(SigningSecret, tenant, "webhook")
        made = SigningSecret(
            tenant=tenant,
            secret=secret,
            former=stored.secret if stored else "",
            made_at=ports.clock(),
            version=stored.version if stored else 0,
        )
        return secret, [Put(made)]

    return commit(ports.catalog, plan)


def require(ports: Ports, tenant: str) -> SigningSecret:
    """The tenant's secret. Raise Conflict before there is one."""
    stored = ports.catalog.get(SigningSecret, tenant, "webhook")
    if stored is None:
        raise Conflict(
            "There is no secret to sign notices with.",
            why="Whoever receives them could not tell them from forged ones.",
            hint="Make it with `hookline key webhook`, as an admin, then send this again.",
        )
    return stored


def headers(secret: SigningSecret, notice_id: str, body: bytes, now: float) -> dict[str, str]:
    """What goes along with a notice."""
    keys = [secret.secret]
    if secret.former and now < secret.made_at + BOTH_S:
        keys.append(secret.former)
    signed = f"{notice_id}.{int(now)}.".encode() + body
    return {
        "Content-Type": "application/json",
        "User-Agent": "hookline",
        "webhook-id": notice_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(f"v1,{_code(key, signed)}" for key in keys),
    }


def _code(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
