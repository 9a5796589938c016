"""Signed URLs of blobs: whoever has one may send that one request until it expires."""

from __future__ import annotations

import hmac
import json
import os
import secrets
from dataclasses import dataclass
from hashlib import sha256 as digest
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode

from hookline.core.errors import BadRequest, Forbidden

ROUTE = "/blobs/"
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class SignedBlob:
    """What a signed URL allows. `sha256` empty and `size_bytes` None: not fixed by the signer."""

    key: str
    sha256: str = ""
    size_bytes: int | None = None


def sign(secret: bytes, method: str, blob: SignedBlob, expires_at: int) -> str:
    """A relative URL that allows `method` on `blob` until `expires_at`, UTC epoch seconds."""
    query = {"expires": str(expires_at), "signature": _code(secret, method, blob, expires_at)}
    if blob.sha256:
        query["sha256"] = blob.sha256
    if blob.size_bytes is not None:
        query["size"] = str(blob.size_bytes)
    return f"{ROUTE}{quote(blob.key)}?{urlencode(query)}"


def verify(secret: bytes, method: str, path: str, query: str, now: float) -> SignedBlob:
    """What the request may touch; `path` and `query` as sent, percent-encoded. Raise Forbidden."""
    try:
        fields = dict(parse_qsl(query, strict_parsing=True, max_num_fields=4))
        expires_at, signature = int(fields["expires"]), fields["signature"]
        size_bytes = int(fields["size"]) if "size" in fields else None
        key = unquote(path.removeprefix(ROUTE), errors="strict")
    except (KeyError, ValueError):
        raise _refused() from None
    blob = SignedBlob(key, fields.get("sha256", ""), size_bytes)
    expected = _code(secret, method, blob, expires_at)
    if not path.startswith(ROUTE) or not hmac.compare_digest(
        expected.encode(), signature.encode("utf-8", "replace")
    ):
        raise _refused()
    if now >= expires_at:
        raise Forbidden("This link has expired.", hint="Ask for a new one.")
    return blob


def _code(secret: bytes, method: str, blob: SignedBlob, expires_at: int) -> str:
    # JSON keeps the fields apart whatever characters a key holds.
    text = json.dumps([method, blob.key, expires_at, blob.sha256, blob.size_bytes])
    return hmac.new(secret, text.encode(), digest).hexdigest()


def _refused() -> Forbidden:
    return Forbidden("This link is not valid.", hint="Ask for a new one and use it unchanged.")


def load_secret(path: Path) -> bytes:
    """The secret kept at `path`, made on first use. Raise BadRequest if it is weak or exposed."""
    if not path.exists():
        _make_secret(path)
    if path.stat().st_mode & 0o077:
        raise BadRequest(f"Others may read the secret in {path}.", hint=f"Run `chmod 600 {path}`.")
    secret = path.read_bytes().strip()
    if len(secret) < _SECRET_BYTES:
        raise BadRequest(
            f"The secret in {path} is too short.",
            why=f"It has {len(secret)} bytes; at least {_SECRET_BYTES} are needed.",
            hint="Delete the file; hookline makes a new one.",
        )
    return secret


def _make_secret(path: Path) -> None:
    """Whole or absent, and the same for every process that starts at once."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(opened, "w") as file:
        file.write(secrets.token_hex(_SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
