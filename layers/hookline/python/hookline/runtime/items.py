"""What goes into a pipeline and what comes out of it."""

from __future__ import annotations

import msgspec

from hookline.core.errors import HooklineError


class Item(msgspec.Struct, frozen=True):
    """One request, or one file of a batch. `name` is the file's name, where it has one."""

    body: bytes
    mime_type: str
    name: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What a caller gets back, as is."""

    body: bytes
    mime_type: str


Outcome = Answer | HooklineError
