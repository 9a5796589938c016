"""What every answer of the HTTP API is made of.

Times are RFC 3339 in UTC; readers ignore fields they do not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from hookline.core.ports import SignedRequest
from hookline.core.records import Bundle, CustomCode, DecoderName, FormatterName, Padding, Serving

V = TypeVar("V")


class View(BaseModel):
    """The JSON object of an answer."""

    # Built on first use: a process answers few kinds, and starts sooner.
    model_config = ConfigDict(frozen=True, from_attributes=True, defer_build=True)


class PageView(View, Generic[V]):
    """One page of a list. An empty token says that it is the last."""

    items: tuple[V, ...]
    next_page_token: str = ""


class RequestView(View):
    """A request to send as it is; a relative `url` is resolved against the endpoint."""

    method: str
    url: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, request: SignedRequest) -> Self:
        return cls(method=request.method, url=request.url, headers=dict(request.headers))


class ServingView(View):
    """How a model answers."""

    bundle: Bundle | None
    custom_code: CustomCode | None
    formatter: FormatterName
    formatter_args: dict[str, Any]
    decoder: DecoderName
    padding: Padding | None
    device: str
    gpus: int


def serving_fields(serving: Serving) -> dict[str, Any]:
    """What a ServingView shows of it."""
    return {name: getattr(serving, name) for name in ServingView.model_fields}
