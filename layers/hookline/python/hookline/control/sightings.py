"""Looks at files that are said to have landed: which version is there, and is it wanted?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hookline.control.volume_files import Source
from hookline.core.errors import CallerError
from hookline.core.names import is_hidden
from hookline.core.ports import BlobInfo, Ports
from hookline.core.triggers import Drop, Gathering, Trigger

HIDDEN = "Its name, or that of a folder it is in, begins with a dot."


def sighted(ports: Ports, trigger: Trigger, place: Source, names: Iterable[str]) -> Iterator[Drop]:
    """The files that are there, as they are now. One that is not may come with a later event."""
    for name in names:
        try:
            blob = place.stat(name)
        except CallerError as error:  # a name that other programs of the store allow, and we do not
            yield unseen(ports, trigger, name, str(error))
            continue
        if blob is not None:
            yield seen(ports, trigger, name, blob)


def seen(ports: Ports, trigger: Trigger, name: str, blob: BlobInfo) -> Drop:
    """A file that is there, with the reason why it is not predicted if its name is not wanted."""
    return Drop(
        tenant=trigger.tenant,
        trigger_id=trigger.id,
        name=name,
        etag=blob.etag,
        size_bytes=blob.size_bytes,
        modified_at=blob.modified_at,
        reason=_reason(trigger.gathering, name),
        seen_at=ports.clock(),
    )


def _reason(gathering: Gathering, name: str) -> str:
    """Why files of that name are not predicted; empty for those that are, or begin a job."""
    if is_hidden(name):
        return HIDDEN
    if gathering.is_started_by(name):
        return ""
    ends = ", ".join(gathering.suffixes)
    return "" if gathering.takes(name) else f"Its name ends in none of {ends}."


def unseen(ports: Ports, trigger: Trigger, name: str, reason: str) -> Drop:
    """A file that cannot be looked at, and why."""
    return Drop(
        tenant=trigger.tenant,
        trigger_id=trigger.id,
        name=name,
        etag="",
        size_bytes=0,
        reason=reason,
        seen_at=ports.clock(),
    )
