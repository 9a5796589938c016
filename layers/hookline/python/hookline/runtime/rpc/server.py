"""The Open Inference Protocol over gRPC, beside the HTTP of a replica and in the same loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc

from hookline.core.errors import HooklineError, NotReady, Unauthenticated, Unavailable
from hookline.runtime.batcher import DEFAULT_URGENCY, late
from hookline.runtime.items import Answer
from hookline.runtime.rpc.messages import MESSAGES, PACKAGE
from hookline.runtime.rpc.tensors import fill, question_of
from hookline.runtime.service import Service
from hookline.runtime.spec import ServerSpec
from hookline.runtime.tokens import Tokens
from hookline.runtime.v2 import describe
from hookline.runtime.v2.reply import chosen
from hookline.runtime.v2.rows import items_of

log = logging.getLogger(__name__)

Message = Any  # protobuf makes its classes at run time
Context = Any  # grpc.aio is not typed
Answered = Callable[[Message, Context], Awaitable[Message]]

_SERVICE = f"{PACKAGE}.GRPCInferenceService"
_STATUSES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class RpcServer:
    """Listens from the start; answers once it is opened."""

    def __init__(self, spec: ServerSpec) -> None:
        self._spec = spec
        self._tokens = Tokens(spec.token_sha256)
        self._service: Service | None = None
        options = [
            ("grpc.max_receive_message_length", spec.max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", int(spec.is_shared)),
        ]
        self._server = grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers((self._handlers(),))
        self.port = self._bound()

    async def start(self) -> None:
        """Take connections; everything but ServerLive is UNAVAILABLE until it is opened."""
        await self._server.start()

    def open(self, service: Service) -> None:
        """Be ready."""
        self._service = service
        log.info("grpc_ready", extra={"port": self.port})

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, and end when those under way are answered."""
        await self._server.stop(grace_s)

    def _bound(self) -> int:
        host = f"[{self._spec.host}]" if ":" in self._spec.host else self._spec.host
        place = f"{host}:{self._spec.grpc_port}"
        try:
            return int(self._server.add_insecure_port(place))
        except RuntimeError as error:
            raise Unavailable(
                f"Cannot listen on {place}.",
                why=f"{error}.",
                hint="Choose a free port with --grpc-port.",
            ) from error

    def _handlers(self) -> grpc.GenericRpcHandler:
        calls: dict[str, Answered] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                _at_the_edge(call),
                request_deserializer=MESSAGES[f"{name}Request"].FromString,
                response_serializer=_bytes_of,
            )
            for name, call in calls.items()
        }
        handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
            self._infer_each,
            request_deserializer=MESSAGES["ModelInferRequest"].FromString,
            response_serializer=_bytes_of,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, handlers)

    async def _live(self, _request: Message, _context: Context) -> Message:
        return MESSAGES["ServerLiveResponse"](live=True)

    async def _ready(self, _request: Message, _context: Context) -> Message:
        return MESSAGES["ServerReadyResponse"](ready=self._service is not None)

    async def _model_ready(self, request: Message, context: Context) -> Message:
        self._admitted(context).check(request.name, request.version)
        return MESSAGES["ModelReadyResponse"](ready=True)

    async def _server_metadata(self, _request: Message, _context: Context) -> Message:
        return MESSAGES["ServerMetadataResponse"](**describe.server())

    async def _model_metadata(self, request: Message, context: Context) -> Message:
        service = self._admitted(context)
        service.check(request.name, request.version)
        return MESSAGES["ModelMetadataResponse"](**describe.model(service))

    async def _infer(self, request: Message, context: Context) -> Message:
        service = self._admitted(context)
        service.check(request.model_name, request.model_version)
        question = question_of(request)
        left_s = min(self._spec.request_timeout_s, context.time_remaining() or float("inf"))
        timeout_s = min(left_s, question.timeout_s or left_s)
        items = items_of(service.signature, question)
        answers = await _asked(service, items, timeout_s, question.urgency)
        response = MESSAGES["ModelInferResponse"](
            model_name=service.served.name, model_version=service.served.version, id=question.id
        )
        fill(response, chosen(question, service.tensors(answers), service.signature.labels))
        return response

    async def _infer_each(
        self, requests: AsyncIterator[Message], context: Context
    ) -> AsyncIterator[Message]:
        """Answer one after the other; an error concerns its own request alone."""
        kind = MESSAGES["ModelStreamInferResponse"]
        async for request in requests:
            try:
                yield kind(infer_response=await self._infer(request, context))
            except HooklineError as error:
                yield kind(error_message=str(error))
            except Exception:  # the edge around a request
                log.exception("request_broken")
                yield kind(error_message="internal error")

    def _admitted(self, context: Context) -> Service:
        metadata = dict(context.invocation_metadata() or ())
        given = metadata.get("authorization", "")
        if not self._tokens.admit(given.encode("latin-1", "replace")):
            raise Unauthenticated(
                "The token is missing or wrong.",
                hint="Send it as the metadata `authorization: Bearer TOKEN`.",
            )
        if self._service is None:
            raise NotReady("This replica is loading its model.", hint="Retry after a moment.")
        return self._service


async def _asked(
    service: Service, items: Sequence[Any], timeout_s: float, urgency: int = DEFAULT_URGENCY
) -> Sequence[Answer]:
    """The answers to `items`; whoever hangs up withdraws them, and so does time."""
    future: asyncio.Future[Sequence[Answer] | HooklineError]
    future = asyncio.get_running_loop().create_future()

    def tell(answers: Sequence[Answer] | HooklineError) -> None:
        if not future.done():
            future.set_result(answers)

    deadline_s = time.monotonic() + timeout_s
    gathering = service.ask(items, tell, deadline_s=deadline_s, urgency=urgency)
    try:
        async with asyncio.timeout(timeout_s):
            answers = await future
    except TimeoutError:
        raise late(timeout_s) from None
    finally:
        gathering.withdraw()
    if isinstance(answers, HooklineError):
        raise answers
    return answers


def _at_the_edge(call: Answered) -> Answered:
    """`call`, whose errors become statuses of gRPC."""

    async def answer(request: Message, context: Context) -> Message:
        try:
            return await call(request, context)
        except HooklineError as error:
            code = _STATUSES.get(error.status, grpc.StatusCode.INVALID_ARGUMENT)
            shown = str(type(error)(error.what, why=error.why, hint=error.hint))
        except Exception:  # the edge around a request
            log.exception("request_broken")
            code, shown = grpc.StatusCode.INTERNAL, "internal error"
        await context.abort(code, shown)
        return None

    return answer


def _bytes_of(message: Message) -> bytes:
    return bytes(message.SerializeToString())
