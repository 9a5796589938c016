"""Buckets that linked volumes point at: read where they are, never written."""

from __future__ import annotations

import re

from hookline.adapters.aws.bucket import Bucket
from hookline.adapters.aws.clients import Clients
from hookline.adapters.read_only import ReadOnly
from hookline.core.checks import check_blob_key
from hookline.core.errors import Forbidden, InvalidInput
from hookline.core.links import Link
from hookline.core.ports import MAX_PAGE, BlobInfo, Page

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # S3's rules for general purpose buckets


class LinkedBucket(ReadOnly, Bucket):
    """A bucket of the user's: its objects are listed and read, and every change is refused."""

    @property
    def place(self) -> str:
        return self.uri("")

    def list(self, prefix: str, *, after: str = "", limit: int = MAX_PAGE) -> Page[BlobInfo]:
        try:
            return super().list(prefix, after=after, limit=limit)
        except Forbidden as error:
            raise Forbidden(
                f"hookline may not read {self.place}.",
                why=error.why,
                hint="Deploy with the bucket named under hookline:linked-buckets, and let the "
                "bucket's own policy allow it.",
            ) from error


def open_link(uri: str, *, clients: Clients, own_bucket: str) -> LinkedBucket:
    """The objects below `uri` (`s3://bucket/prefix`). Raise InvalidInput, or Forbidden for ours.

    AWS is not asked yet: a bucket that is absent or closed is told of when it is listed or read.
    """
    link = Link.parse(uri)
    if link is None or link.scheme != "s3" or not _NAME.fullmatch(link.host):
        raise _not_a_link(uri)
    if link.host == own_bucket:
        raise Forbidden(
            f"The bucket {own_bucket} cannot be linked.",
            why="hookline keeps its own files there.",
            hint="Link another bucket.",
        )
    prefix = check_blob_key(link.path[1:]) + "/" if link.path else ""
    return LinkedBucket(clients, link.host, prefix)


def _not_a_link(uri: str) -> InvalidInput:
    return InvalidInput(
        f"The link {uri!r} cannot be opened on AWS.",
        why="Only buckets can be linked here, written s3://bucket/prefix.",
        hint="In a prefix, write ? as %3F, # as %23 and % as %25.",
    )
