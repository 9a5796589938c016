"""Issues and revokes keys and presigned tokens. Only their digests are stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from hookline.control.listing import every
from hookline.core.ports import Delete, Ports
from hookline.core.records import PLATFORM, Credential, Record, Stream, User, number
from hookline.core.secrets import digest

LABEL_CHARS = 8  # `hk_` and five digits: enough to tell one's keys apart


class CredentialLink(Record):
    """Finds the credentials of a user or a stream: the other direction of Credential."""

    kind: ClassVar[str] = "credential-link"
    subject: str  # "user/ada" or "stream/0000000023"
    sha256: str
    label: str = ""
    created_at: float

    @property
    def key(self) -> str:
        return f"{self.subject}/{self.sha256}"


def user_subject(user: str) -> str:
    """What the keys of a user are linked to."""
    return f"user/{user}"


def stream_subject(stream_id: int) -> str:
    """What the tokens of a stream are linked to."""
    return f"stream/{number(stream_id)}"


def of_user(user: User, key: str, now: float) -> tuple[Credential, CredentialLink]:
    """What is stored of a new key."""
    credential = Credential(
        sha256=digest(key),
        owner=user.tenant,
        user=user.name,
        role=user.role,
        label=key[:LABEL_CHARS],
        created_at=now,
    )
    return credential, _link(credential, user_subject(user.name))


def of_stream(stream: Stream, token: str, now: float) -> tuple[Credential, CredentialLink]:
    """What is stored of a new presigned token."""
    credential = Credential(
        sha256=digest(token), owner=stream.tenant, stream_id=stream.id, created_at=now
    )
    return credential, _link(credential, stream_subject(stream.id))


def _link(credential: Credential, subject: str) -> CredentialLink:
    return CredentialLink(
        tenant=credential.owner,
        subject=subject,
        sha256=credential.sha256,
        label=credential.label,
        created_at=credential.created_at,
    )


def links(ports: Ports, tenant: str, subject: str) -> list[CredentialLink]:
    """The credentials of a user or a stream."""
    return list(every(ports, CredentialLink, tenant, f"{subject}/"))


def revoke(ports: Ports, found: Iterable[CredentialLink]) -> None:
    """Make the credentials worthless. Those that are gone already are not an error."""
    for link in found:
        credential = ports.catalog.get(Credential, PLATFORM, link.sha256)
        gone = [Delete(record) for record in (credential, link) if record is not None]
        ports.catalog.transact(gone)
