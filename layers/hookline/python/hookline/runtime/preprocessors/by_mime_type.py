"""Choose the canned preprocessor of a body by its MIME type.

Each preprocessor is a module with the hook a user would write: preprocess(input, model). It is
imported when the first body of its kind comes, so that a model of numbers never loads Pillow.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from hookline.core.errors import InvalidInput, UnsupportedMediaType
from hookline.core.names import OCTET_STREAM, mime_type_of
from hookline.runtime.items import Item

Preprocess = Callable[[bytes, Any], Any]

_MODULES = {
    "application/json": "json_body",
    "application/x-npy": "npy",
    "image/*": "image",
    "text/csv": "csv_rows",
    "text/plain": "plain_text",
}
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"BM": "image/bmp",
    b"GIF8": "image/gif",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
    b"\x93NUMPY": "application/x-npy",
}
_KEPT_TYPES = 64  # as clients spell them
_UTF8 = ("", "utf-8", "utf8", "us-ascii")
_CHARSETS = ("iso-8859-1", "iso-8859-15", "windows-1252", "utf-16", "utf-32", "shift_jis")


def preprocess(item: Item, model: Any) -> Any:
    """Run the canned preprocessor for the item's MIME type; UnsupportedMediaType without one."""
    essence, parameters = _parsed(item.mime_type)
    if essence in ("", OCTET_STREAM):
        essence = _guessed(item)
    hook = _preprocessor("image/*" if essence.startswith("image/") else essence)
    return hook(_as_utf8(item.body, parameters.get("charset", "")), model)


@cache
def _preprocessor(mime_type: str) -> Preprocess:
    module = _MODULES.get(mime_type)
    if module is None:
        raise UnsupportedMediaType(
            f"Bodies of type {mime_type[:100] or 'unknown'} cannot be read.",
            why=f"Without a preprocess hook these are: {', '.join(_MODULES)}.",
            hint="Send the Content-Type of the body, or write a preprocess hook.",
        )
    hook: Preprocess = importlib.import_module(f"{__package__}.{module}").preprocess
    return hook


@lru_cache(_KEPT_TYPES)
def _parsed(mime_type: str) -> tuple[str, Mapping[str, str]]:
    essence, *rest = mime_type.split(";")
    pairs = [parameter.partition("=") for parameter in rest]
    return essence.strip().lower(), {
        name.strip().lower(): value.strip().strip('"').lower() for name, _, value in pairs
    }


def _guessed(item: Item) -> str:
    """The type its name or its first bytes tell of a body that came without one."""
    named = mime_type_of(item.name)
    if named != OCTET_STREAM:
        return named
    if item.body[:4] == b"RIFF" and item.body[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC.items() if item.body.startswith(magic)), named)


def _as_utf8(body: bytes, charset: str) -> bytes:
    if charset in _UTF8:
        return body
    if charset not in _CHARSETS:
        raise UnsupportedMediaType(
            f"The charset {charset[:40]!r} is not known.", hint="Send UTF-8."
        )
    try:
        return body.decode(charset).encode()
    except UnicodeError as error:
        raise InvalidInput(f"The body is not {charset}.", why=f"{error}.") from error
