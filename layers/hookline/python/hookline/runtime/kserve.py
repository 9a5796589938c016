"""KServe's V1 protocol, which is TensorFlow Serving's: rows of JSON in, rows of JSON out.

`instances` are rows; a row `{"b64": …}` is a file. `inputs` are columns: one tensor, or an object
of tensors by name, and the answer has `outputs` instead of `predictions`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from hookline.core.errors import HooklineError, InvalidInput
from hookline.core.names import OCTET_STREAM
from hookline.runtime.answers import Header
from hookline.runtime.exchange import Exchange
from hookline.runtime.items import Answer, Item, TensorAnswer, TensorItem
from hookline.runtime.rendering import JSON, json_text
from hookline.runtime.service import Service

Reply = Callable[[list[Header], bytes], None]
Fail = Callable[[HooklineError], None]

_B64 = "b64"
_JSON_TYPE = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode


class JsonRequest(msgspec.Struct):
    """Exactly one of the two."""

    instances: list[Any] | None = None
    inputs: list[Any] | dict[str, Any] | None = None


_decode = msgspec.json.Decoder(JsonRequest).decode


class V1:
    """Answers an exchange whose path is one of the protocol's."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def answer(self, exchange: Exchange, reply: Reply, fail: Fail) -> None:
        """Reply now or later, once, or fail; raise the HooklineError that refuses it."""
        found, served = exchange.found, self._service.served
        if found is None or found.operation.name == "models":
            reply([_JSON_TYPE], _encode({"models": [served.name]}))
            return
        self._service.check(found.model)
        if found.operation.name == "model_status":
            reply([_JSON_TYPE], _encode({"name": served.name, "ready": True}))
            return
        request = _request(exchange.body)
        exchange.ticket = self._service.ask(
            [self._item(row) for row in _rows(request)],
            partial(_told, request.inputs is not None, reply, fail),
            deadline_s=exchange.deadline_s,
            urgency=exchange.urgency,
        )

    def _item(self, row: Any) -> Item:
        body, mime_type = _encode(row), JSON
        if isinstance(row, dict) and row.keys() == {_B64}:
            body, mime_type = _decoded(row[_B64]), OCTET_STREAM
        kind = Item if self._service.signature.gives_bodies else TensorItem
        return kind(body, mime_type)


def _request(body: bytes) -> JsonRequest:
    try:
        request = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(
            "The body is not a request to predict.",
            why=f"{error}.",
            hint='Send JSON: {"instances": [row, …]}.',
        ) from error
    if (request.instances is None) == (request.inputs is None):
        raise InvalidInput("Send either instances or inputs.")
    return request


def _rows(request: JsonRequest) -> list[Any]:
    rows = request.inputs if request.instances is None else request.instances
    if isinstance(rows, dict):
        columns = list(rows.values())
        lengths = {len(column) if isinstance(column, list) else -1 for column in columns}
        if len(lengths) != 1 or -1 in lengths:
            raise InvalidInput("The inputs are not lists of one length, a row in each element.")
        rows = [dict(zip(rows, row, strict=True)) for row in zip(*columns, strict=True)]
    if not rows:
        raise InvalidInput("The request has no rows.")
    return rows


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise InvalidInput("A b64 is not base64.", why=f"{error}.") from error


def _told(
    is_columns: bool,  # noqa: FBT001 - bound by place
    reply: Reply,
    fail: Fail,
    answers: Sequence[Answer] | HooklineError,
) -> None:
    if isinstance(answers, HooklineError):
        fail(answers)
        return
    try:
        body = _columns(answers) if is_columns else _predictions(answers)
    except HooklineError as error:
        fail(error)
        return
    reply([_JSON_TYPE], body.encode())


def _predictions(answers: Sequence[Answer]) -> str:
    return f'{{"predictions": [{", ".join(map(_text, answers))}]}}'


def _columns(answers: Sequence[Answer]) -> str:
    first = answers[0]
    if isinstance(first, TensorAnswer) and len(first.tensors) > 1:
        rows = [answer.tensors for answer in answers if isinstance(answer, TensorAnswer)]
        named = {name: [row[name] for row in rows] for name in first.tensors}
        return f'{{"outputs": {json_text(named)}}}'
    return f'{{"outputs": [{", ".join(map(_text, answers))}]}}'


def _text(answer: Answer) -> str:
    """One prediction: a tensor, or tensors by name, or what a hook answered."""
    if isinstance(answer, TensorAnswer):
        tensors: Mapping[str, Any] = answer.tensors
        return json_text(next(iter(tensors.values())) if len(tensors) == 1 else dict(tensors))
    text = answer.body.decode("utf-8", "replace")
    return text if answer.mime_type == JSON else json_text(text)
