"""Which replicas a presigned token may reach, read from the catalog and kept for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hookline.core.errors import Conflict, HooklineError, NotReady, Unauthenticated
from hookline.core.ports import Catalog
from hookline.core.records import PLATFORM, Credential, Replica, Stream, number
from hookline.core.secrets import digest, same
from hookline.gateway import metrics

KEEP_S = 1.0  # how long an answer is believed; as long again while another is asked for
EMPTY_KEEP_S = 0.25  # a stream without a replica is about to get one
MAX_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Destination:
    """A stream as the gateway sees it. `addresses`: `unix:/path` or `http://host:port`.

    `is_elastic`: its replicas follow its load. `may_sleep`: it may have none, until one is needed.
    """

    tenant: str
    stream_id: int
    addresses: Sequence[str]
    is_elastic: bool = False
    may_sleep: bool = False


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    answer: Destination | HooklineError


class RoutingTable:
    """Resolves tokens. Answers, good and bad, are believed for KEEP_S seconds.

    So a token that is revoked opens its stream for at most twice as long.
    """

    def __init__(
        self,
        catalog: Catalog,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog, self._clock, self._timer = catalog, clock, timer
        self._kept: dict[str, _Kept] = {}

    def kept(self, token: str) -> Destination | HooklineError | None:
        """What is known about `token` without asking the catalog."""
        kept = self._kept.get(digest(token))
        return kept.answer if kept and kept.until > self._timer() else None

    def resolve(self, token: str) -> Destination | HooklineError:
        """Ask the catalog. Refusals are values, so that they can be kept as well."""
        token_sha256 = digest(token)
        try:
            answer: Destination | HooklineError = self._destination(token_sha256)
        except (Unauthenticated, Conflict, NotReady) as error:
            answer = error
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        is_empty = isinstance(answer, Destination) and not answer.addresses
        keep_s = EMPTY_KEEP_S if is_empty else KEEP_S
        self._kept[token_sha256] = _Kept(self._timer() + keep_s, answer)
        return answer

    def stale(self, token: str) -> Destination | None:
        """What was known a moment ago, good enough while `resolve` asks again."""
        kept = self._kept.get(digest(token))
        if kept is None or kept.until + KEEP_S <= self._timer():
            return None
        answer = kept.answer
        return answer if isinstance(answer, Destination) and answer.addresses else None

    def addresses(self) -> frozenset[str]:
        """Every replica that some answer names."""
        answers = [kept.answer for kept in list(self._kept.values())]
        found = [answer.addresses for answer in answers if isinstance(answer, Destination)]
        return frozenset().union(*found)

    def tenant_of_admin(self, key: str) -> str:
        """The tenant whose metrics `key` may read. Raise what refuses it."""
        return metrics.tenant_of_admin(self._catalog, key, self._clock())

    def forget(self, token: str) -> None:
        """Make the next `resolve` ask again."""
        self._kept.pop(digest(token), None)

    def _destination(self, token_sha256: str) -> Destination:
        credential = self._credential(token_sha256)
        stream_id = credential.stream_id
        stream = self._catalog.get(Stream, credential.owner, stream_id or 0)
        if stream is None:
            raise _unknown_token()
        _check_answers(stream)
        found = self._catalog.query(Replica, credential.owner, prefix=f"{number(stream.id)}/")
        return Destination(
            credential.owner,
            stream.id,
            tuple(replica.address for replica in found.items),
            is_elastic=stream.is_elastic,
            may_sleep=stream.min_replicas == 0,
        )

    def _credential(self, token_sha256: str) -> Credential:
        credential = self._catalog.get(Credential, PLATFORM, token_sha256)
        # The lookup is by hash, so its time says nothing of the secret; the comparison neither.
        if credential is None or not same(credential.sha256, token_sha256):
            raise _unknown_token()
        if credential.stream_id is None:
            raise Unauthenticated(
                "This is an API key, not a presigned token.",
                hint="Predict with the token that `hookline model deploy` printed.",
            )
        if credential.expires_at is not None and credential.expires_at <= self._clock():
            raise Unauthenticated("The token has expired.", hint="Ask for another one.")
        return credential


def _unknown_token() -> Unauthenticated:
    return Unauthenticated(
        "The presigned token is not known.",
        why="It was mistyped, revoked, or its stream was undeployed.",
        hint="Use the token that `hookline model deploy` printed, or `hookline stream rotate ID`.",
    )


def _check_answers(stream: Stream) -> None:
    if stream.status == "Failed":
        why = stream.failure.message if stream.failure else ""
        raise Conflict(
            f"Stream {stream.id} has failed.",
            why=why,
            hint=f"See `hookline stream show {stream.id}`.",
        )
    if stream.status == "Deploying":
        raise NotReady(f"Stream {stream.id} is still deploying.", hint="Try again shortly.")
    if stream.status in {"Undeploying", "Undeployed"}:
        raise _unknown_token()
