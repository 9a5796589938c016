"""Gateways that have told nothing for long: they have ended, or their streams are idle."""

from __future__ import annotations

from hookline.control.listing import every
from hookline.core.errors import Conflict
from hookline.core.loads import Traffic
from hookline.core.ports import Ports

FORGOTTEN_S = 300.0


def sweep(ports: Ports, tenant: str) -> None:
    """Remove what they told last."""
    oldest = ports.clock() - FORGOTTEN_S
    for told in list(every(ports, Traffic, tenant)):
        if told.updated_at <= oldest:
            _remove(ports, told)


def _remove(ports: Ports, told: Traffic) -> None:
    try:
        ports.catalog.delete(told)
    except Conflict:
        return  # its gateway has just told more
