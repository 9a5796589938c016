"""The Open Inference Protocol V2 over HTTP: one method for each operation of its table."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from hookline.core.errors import BadRequest, HooklineError, Unsupported, UnsupportedMediaType
from hookline.runtime.answers import Header
from hookline.runtime.batcher import DEFAULT_URGENCY
from hookline.runtime.exchange import Exchange
from hookline.runtime.items import Answer, Item
from hookline.runtime.lane import Done, Lane, done
from hookline.runtime.service import Service
from hookline.runtime.v2 import describe
from hookline.runtime.v2.question import Question, question_in
from hookline.runtime.v2.reply import LENGTH_HEADER, chosen, encoded
from hookline.runtime.v2.rows import items_of, raw_item

log = logging.getLogger(__name__)

T = TypeVar("T")
Reply = Callable[[list[Header], bytes], None]
Fail = Callable[[HooklineError], None]

_JSON_TYPE = (b"content-type", b"application/json")
_LENGTH = re.compile(rb"[0-9]{1,10}", re.ASCII)
_HERE_BYTES = 64 * 1024  # more is read and written in a thread, so that others need not wait
_encode = msgspec.json.Encoder().encode


class V2:
    """Answers an exchange whose path is one of the protocol's."""

    def __init__(self, service: Service, lane: Lane) -> None:
        self._service, self._lane = service, lane

    def answer(self, exchange: Exchange, reply: Reply, fail: Fail) -> None:
        """Reply now or later, once, or fail; raise the HooklineError that refuses it."""
        found = exchange.found
        if found is None:
            raise BadRequest("This is no path of the protocol.")
        if found.model:
            self._service.check(found.model, found.version)
        if found.operation.name == "infer":
            self._infer(exchange, reply, fail)
            return
        if found.operation.name == "load":
            raise Unsupported(
                "Models are not loaded or unloaded here.",
                why="A stream serves one model from its deployment on.",
                hint="Use `hookline model deploy`, `stream update` and `stream undeploy`.",
            )
        reply([_JSON_TYPE], _encode(self._document(found.operation.name)))

    def _document(self, name: str) -> object:
        service = self._service
        documents: dict[str, Callable[[], object]] = {
            "server": describe.server,
            "metadata": partial(describe.model, service),
            "model_ready": lambda: {"name": service.served.name, "ready": True},
            "configuration": partial(describe.configuration, service),
            "statistics": partial(describe.statistics, service),
            "index": partial(describe.index, service),
        }
        return documents[name]()

    def _infer(self, exchange: Exchange, reply: Reply, fail: Fail) -> None:
        if exchange.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise UnsupportedMediaType("Compressed requests are not supported.")

        def read(result: Done[tuple[Question, list[Item]]]) -> None:
            if not exchange.is_answered:
                self._ask(exchange, *result.value, reply, fail)

        body = exchange.body
        call = partial(self._read, body, _header_bytes(exchange), exchange.mime_type)
        self._at_its_place(len(body), call, read, fail)

    def _read(
        self, body: bytes, header_bytes: int | None, mime_type: str
    ) -> tuple[Question, list[Item]]:
        signature = self._service.signature
        if header_bytes == 0:
            return Question(inputs=(), is_binary=True), [raw_item(signature, body, mime_type)]
        question = question_in(body, header_bytes)
        return question, items_of(signature, question)

    def _ask(
        self,
        exchange: Exchange,
        question: Question,
        items: Sequence[Item],
        reply: Reply,
        fail: Fail,
    ) -> None:
        if question.timeout_s and question.timeout_s < exchange.timeout_s:
            exchange.allow(question.timeout_s)
            exchange.connection.hasten(exchange)

        def told(answers: Sequence[Answer] | HooklineError) -> None:
            if isinstance(answers, HooklineError):
                fail(answers)
                return
            size = sum(len(one.body) for one in answers) + self._sent_bytes(answers)
            call = partial(self._written, question, answers)
            self._at_its_place(size, call, lambda result: reply(*result.value), fail)

        urgency = question.urgency
        if urgency == DEFAULT_URGENCY:
            urgency = exchange.urgency
        exchange.ticket = self._service.ask(
            items, told, deadline_s=exchange.deadline_s, urgency=urgency
        )

    def _written(self, question: Question, answers: Sequence[Answer]) -> tuple[list[Header], bytes]:
        service = self._service
        outputs = chosen(question, service.tensors(answers), service.signature.labels)
        return encoded(question, outputs, service.served.name, service.served.version)

    def _sent_bytes(self, answers: Sequence[Answer]) -> int:
        tensors = getattr(answers[0], "tensors", {}) if answers else {}
        return len(answers) * sum(getattr(each, "nbytes", 0) for each in tensors.values())

    def _at_its_place(
        self,
        size_bytes: int,
        call: Callable[[], T],
        then: Callable[[Done[T]], None],
        fail: Fail,
    ) -> None:
        """Do `call` here where it is quick, else in the lane; what fails is told."""

        def finish(result: Done[T]) -> None:
            try:
                then(result)
            except HooklineError as error:
                fail(error)
            except Exception:  # the edge around a request
                log.exception("request_broken")
                fail(HooklineError("internal error"))

        if size_bytes <= _HERE_BYTES:
            finish(done(call))
        else:
            self._lane.call(finish, call)


def _header_bytes(exchange: Exchange) -> int | None:
    given = exchange.headers.get(LENGTH_HEADER)
    if given is None:
        return None
    if not _LENGTH.fullmatch(given):
        raise BadRequest("Inference-Header-Content-Length is a whole number of bytes.")
    return int(given)
