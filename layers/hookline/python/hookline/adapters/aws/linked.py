"""Buckets that linked volumes point at: read where they are, never written."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from hookline.adapters.aws.bucket import Bucket
from hookline.adapters.aws.clients import Clients
from hookline.adapters.read_only import ReadOnly
from hookline.core.errors import Forbidden, InvalidInput

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # S3's rules for general purpose buckets


class LinkedBucket(ReadOnly, Bucket):
    """A bucket of the user's: its objects are listed and read, and every change is refused."""

    @property
    def place(self) -> str:
        return self.uri("")


def open_link(uri: str, *, clients: Clients, own_bucket: str) -> LinkedBucket:
    """The objects below `uri` (`s3://bucket/prefix`). Raise InvalidInput, or Forbidden for ours.

    AWS is not asked yet: a bucket that is absent or closed is told of when it is listed or read.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise _not_a_link(uri) from None
    is_plain = parts.scheme == "s3" and not parts.query and not parts.fragment
    if not is_plain or not _NAME.fullmatch(parts.netloc):
        raise _not_a_link(uri)
    if parts.netloc == own_bucket:
        raise Forbidden(
            f"The bucket {own_bucket} cannot be linked.",
            why="hookline keeps its own files there.",
            hint="Link another bucket.",
        )
    prefix = unquote(parts.path).strip("/")
    return LinkedBucket(clients, parts.netloc, f"{prefix}/" if prefix else "")


def _not_a_link(uri: str) -> InvalidInput:
    return InvalidInput(
        f"The link {uri!r} cannot be opened on AWS.", why="Links are written s3://bucket/prefix."
    )
