"""Which bearer tokens may predict."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from hookline.core.secrets import digest, same

_MAX_KNOWN = 256


class Tokens:
    """The digests of the tokens that are let in; without any, every caller is.

    Verdicts are kept under a digest of the header, so that a good token costs one hash: the time
    of a look-up tells nothing of the token, as nobody can choose the digest of a guess.
    """

    def __init__(self, token_sha256: Sequence[str]) -> None:
        self._known = tuple(token_sha256)
        self._good: set[bytes] = set()

    def admit(self, authorization: bytes) -> bool:
        """Whether `Authorization: Bearer TOKEN` holds a token that is known."""
        if not self._known:
            return True
        key = sha256(authorization).digest()
        if key in self._good:
            return True
        token = _bearer(authorization.decode("latin-1"))
        # All are compared, so that the time taken does not tell which one was close.
        is_good = sum(same(digest(token), one) for one in self._known) > 0 and bool(token)
        if is_good and len(self._good) < _MAX_KNOWN:  # spellings of the header, not tokens
            self._good.add(key)
        return is_good


def _bearer(authorization: str) -> str:
    kind, _, secret = authorization.partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""
