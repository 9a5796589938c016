"""Keys and tokens: made here, stored only as SHA-256, compared in constant time, never logged."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from hmac import compare_digest

KEY_PREFIX = "hk_"
SECRET_BITS = 256


def new_key() -> str:
    """An API key: `hk_` and 256 random bits in hex."""
    return KEY_PREFIX + secrets.token_hex(SECRET_BITS // 8)


def new_token() -> str:
    """A presigned token: 256 random bits in hex, as the seed's tokens look."""
    return secrets.token_hex(SECRET_BITS // 8)


def digest(secret: str) -> str:
    """What is stored of a secret, and what it is found by.

    A plain hash suffices: a secret of 256 random bits cannot be guessed, unlike a password.
    """
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same(left: str, right: str) -> bool:
    """Whether two digests are equal, in time that does not depend on where they differ."""
    return compare_digest(left.encode(), right.encode())


_SECRET = re.compile(r"(hk_)?[0-9a-f]{64}")


def redacted(text: str) -> str:
    """`text` with every key and token cut to its ends: `8e51…0b4b`."""
    return _SECRET.sub(lambda found: f"{found[0][:4]}…{found[0][-4:]}", text)
