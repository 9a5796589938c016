"""What the fleet calls the processes of a stream."""

from __future__ import annotations

import re

_GROUP = re.compile(r"stream-([1-9][0-9]{0,9})(?:-[1-9][0-9]*)?")


def group_of(stream_id: int, revision: int) -> str:
    """`stream-23`; after an update `stream-23-2`, so that both may run at once."""
    return f"stream-{stream_id}" if revision == 1 else f"stream-{stream_id}-{revision}"


def stream_of(group: str) -> int:
    """The id of the stream whose processes the group has; 0 for a group of others."""
    found = _GROUP.fullmatch(group)
    return int(found[1]) if found else 0
