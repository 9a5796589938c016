"""Checks who is to be told of the end of a job, when that is asked for."""

from __future__ import annotations

from hookline.control import signing
from hookline.control.caller import Call
from hookline.core.targets import TOPIC_PREFIX


def checked(call: Call, target: str) -> str:
    """The URL or topic. Raise InvalidInput if it cannot be told, Conflict without a secret."""
    if target:
        call.targets.check(target)
        if not target.startswith(TOPIC_PREFIX):
            signing.require(call.ports, call.tenant)
    return target
