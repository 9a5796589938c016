"""Pages of lists: the token that continues one is signed, and good for one tenant and one list."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex
from typing import Annotated, ClassVar, TypeVar

from aws_lambda_powertools.event_handler.openapi.params import Query

from hookline.control.caller import Call
from hookline.core.errors import BadRequest, Conflict
from hookline.core.ports import MAX_PAGE, Catalog, Page
from hookline.core.records import PLATFORM, Record
from hookline.core.views.view import PageView

R = TypeVar("R")
V = TypeVar("V")

MAC_BYTES = 16

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many items at most.")]
PageToken = Annotated[
    str, Query(max_length=4096, description="The next_page_token of the page before.")
]


class SigningSecret(Record):
    """What page tokens are signed with: one for the whole deployment, made on first use."""

    kind: ClassVar[str] = "signing-secret"
    tenant: str = PLATFORM
    secret: str

    @property
    def key(self) -> str:
        return "page-tokens"


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a caller stands in a list: how many items to give, after which key."""

    call: Call
    limit: int
    after: str

    def page(self, found: Page[R], view: Callable[[R], V]) -> PageView[V]:
        """The page as it is answered."""
        return self.answer([view(item) for item in found.items], found.after)

    def answer(self, items: Sequence[V], after: str) -> PageView[V]:
        """The page of views that were made already; `after` is empty on the last page."""
        return PageView(items=tuple(items), next_page_token=self.token(after))

    def token(self, after: str) -> str:
        """What continues after this position; empty when there is none."""
        return _token(self.call, after) if after else ""


def turn(call: Call, limit: int, page_token: str) -> Turn:
    """Where to go on. Raise BadRequest for a token that was not made for this list."""
    return Turn(call, limit, _after(call, page_token) if page_token else "")


def _token(call: Call, after: str) -> str:
    position = after.encode()
    return base64.urlsafe_b64encode(_mac(call, position) + position).decode()


def _after(call: Call, token: str) -> str:
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    mac, position = raw[:MAC_BYTES], raw[MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(call, position)):
        raise BadRequest(
            "The page token is not valid here.",
            why="It was changed, or belongs to another list.",
            hint="Begin again without a page token.",
        )
    return position.decode()


def _mac(call: Call, position: bytes) -> bytes:
    secret = _secret(call.ports.catalog)
    message = f"{call.tenant}\n{call.operation}\n".encode() + position
    return hmac.digest(bytes.fromhex(secret.secret), message, sha256)[:MAC_BYTES]


def _secret(catalog: Catalog) -> SigningSecret:
    fresh = SigningSecret(secret=token_hex(32))
    stored = catalog.get(SigningSecret, PLATFORM, fresh.key)
    if stored is not None:
        return stored
    try:
        return catalog.put(fresh)
    except Conflict:  # another made it in between
        return _secret(catalog)
