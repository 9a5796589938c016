"""The shapes of answers that handlers share."""

from __future__ import annotations

from typing import TypeVar

from aws_lambda_powertools.event_handler import Response, content_types

V = TypeVar("V")

OK, CREATED, ACCEPTED, NO_CONTENT = 200, 201, 202, 204


def created(location: str, view: V) -> Response[V]:
    """201, saying where the resource is."""
    return Response(CREATED, content_types.APPLICATION_JSON, view, headers={"Location": location})


def accepted(location: str, view: V, *, edition: int | None = None) -> Response[V]:
    """202: it has begun, and `location` shows how it goes. `edition` is for the next If-Match."""
    headers = {"Location": location} | ({} if edition is None else _tagged(edition))
    return Response(ACCEPTED, content_types.APPLICATION_JSON, view, headers=headers)


def shown(view: V, edition: int) -> Response[V]:
    """200 of what changes by editions: the ETag is for an If-Match."""
    return Response(OK, content_types.APPLICATION_JSON, view, headers=_tagged(edition))


def no_content() -> Response[None]:
    """204."""
    return Response(NO_CONTENT)


def _tagged(edition: int) -> dict[str, str]:
    # The status moves on within an edition, so an answer is not to be kept.
    return {"ETag": f'"{edition}"', "Cache-Control": "no-store"}
