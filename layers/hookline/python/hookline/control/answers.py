"""The shapes of answers that handlers share."""

from __future__ import annotations

from typing import TypeVar

from aws_lambda_powertools.event_handler import Response, content_types

V = TypeVar("V")

CREATED, ACCEPTED, NO_CONTENT = 201, 202, 204


def created(location: str, view: V) -> Response[V]:
    """201, saying where the resource is."""
    return Response(CREATED, content_types.APPLICATION_JSON, view, headers={"Location": location})


def accepted(location: str, view: V) -> Response[V]:
    """202: it has begun, and `location` shows how it goes."""
    return Response(ACCEPTED, content_types.APPLICATION_JSON, view, headers={"Location": location})


def no_content() -> Response[None]:
    """204."""
    return Response(NO_CONTENT)
