"""Streams: POST /v1/streams deploys a model; the reconciler does what their status asks for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from hookline.control import app, credentials, paging, quotas, serving, traffic
from hookline.control.accuracy import refuse_inaccurate
from hookline.control.answers import ACCEPTED, CREATED, accepted, created, shown
from hookline.control.caller import Call, Calling
from hookline.control.idempotency import create_numbered
from hookline.control.paging import Limit, PageToken
from hookline.control.scaling import within
from hookline.control.transactions import Write, commit
from hookline.control.uses import kept
from hookline.core.errors import Conflict
from hookline.core.models import Model
from hookline.core.ports import Ports, Put
from hookline.core.records import TARGET_IN_FLIGHT, Former, Replica, Serving, Stream, number
from hookline.core.requests import NewStream, StreamChanges
from hookline.core.secrets import new_token, redacted
from hookline.core.topology import RECONCILE, Handler
from hookline.core.views.streams import (
    DeployedView,
    LogsView,
    StreamStatusView,
    StreamView,
    TokenView,
    TrafficView,
)
from hookline.core.views.view import PageView

router = app.Router()

_LEAVING = ("Undeploying", "Undeployed")


def build(ports: Ports) -> Handler:
    """The handler of the routes below."""
    return app.handler([router], ports)


@router.post("/v1/streams", status_code=CREATED)
def deploy(call: Calling, body: NewStream) -> Response[DeployedView]:
    """Deploy a model. The token is shown this once; a repeated request gets one more."""
    model = call.find(Model, body.model_id)
    refuse_inaccurate(model, is_forced=body.force)
    checked = serving.checked(call, model, body)
    token, now = new_token(), call.now()
    least, most = body.bounds()

    def plan(stream_id: int) -> tuple[Stream, list[Write]]:
        stream = Stream(
            tenant=call.tenant,
            id=stream_id,
            model_id=body.model_id,
            serving=checked,
            replicas=max(1, least),  # also of one that may have none: to see that it works
            min_replicas=least,
            max_replicas=most,
            target_in_flight=body.target_in_flight or TARGET_IN_FLIGHT,
            created_at=now,
            updated_at=now,
        )
        quotas.check(call, stream)
        needed = kept(call, body.model_id, serving.bundle_volume(body))
        return stream, [*_token(stream, token, now), *needed]

    stream, is_new = create_numbered(call, body, Stream, plan)
    if not is_new:
        _add_token(call, stream, token)
    _reconcile(call, stream)
    view = DeployedView.of(stream, _ready(call, stream), presigned_token=token)
    return created(f"/v1/streams/{stream.id}", view)


@router.get("/v1/streams")
def list_streams(
    call: Calling, limit: Limit = 100, page_token: PageToken = ""
) -> PageView[StreamView]:
    """List streams in the order they were deployed."""
    turn = paging.turn(call, limit, page_token)
    found = call.ports.catalog.query(Stream, call.tenant, after=turn.after, limit=limit)
    return turn.page(found, lambda stream: StreamView.of(stream, _ready(call, stream)))


@router.get("/v1/streams/<stream_id>")
def show_stream(call: Calling, stream_id: int) -> Response[StreamView]:
    """Show one stream, and why it failed if it did. Its ETag is for the If-Match of a change."""
    stream = call.find(Stream, stream_id)
    return shown(StreamView.of(stream, _ready(call, stream)), stream.edition)


@router.patch("/v1/streams/<stream_id>", status_code=ACCEPTED)
def update(call: Calling, stream_id: int, body: StreamChanges) -> Response[StreamView]:
    """Change a stream that runs. What it answers with is replaced without refusing a request."""

    def plan() -> tuple[Stream, list[Write]]:
        stream = call.find(Stream, stream_id)
        if stream.status not in ("Running", "Updating", "Failed"):
            raise Conflict(
                f"Stream {stream_id} is {stream.status}.", hint="Change it while it is Running."
            )
        wanted = _scaled(stream, body)
        model_id = stream.model_id if body.model_id is None else body.model_id
        fields = serving.changed(stream.serving, body)
        model = call.find(Model, model_id)
        if model_id != stream.model_id:
            refuse_inaccurate(model, is_forced=body.force)
        checked = serving.checked(call, model, fields)
        if stream.status == "Failed" or (model_id, checked) != (stream.model_id, stream.serving):
            wanted = _replaced(wanted, model_id, checked)
        if wanted == stream:
            return stream, []
        _check_edition(call, stream)
        wanted = wanted.changed(edition=stream.edition + 1, updated_at=call.now())
        counted = _counted(call, stream, wanted)
        return wanted, [Put(wanted), *counted, *kept(call, model_id, serving.bundle_volume(fields))]

    stream = commit(call.ports.catalog, plan)
    _reconcile(call, stream)
    view = StreamView.of(stream, _ready(call, stream))
    return accepted(f"/v1/streams/{stream_id}", view, edition=stream.edition)


def _counted(call: Call, stream: Stream, wanted: Stream) -> list[Write]:
    """Check the quotas where a change takes more of them: one that does not is always allowed."""
    if stream.status != "Failed" and wanted.max_replicas <= stream.max_replicas:
        return []
    quotas.check(call, wanted)
    return quotas.in_turn(call)


def _check_edition(call: Call, stream: Stream) -> None:
    if call.if_match not in ("", "*", str(stream.edition)):
        raise Conflict(
            f"Stream {stream.id} has been changed meanwhile.",
            why=f"It has the edition {stream.edition}, not {call.if_match}.",
            hint="Read it again, then repeat the change.",
        )


def _scaled(stream: Stream, body: StreamChanges) -> Stream:
    least, most = body.bounds(stream.min_replicas, stream.max_replicas)
    target = body.target_in_flight or stream.target_in_flight
    wanted = stream.changed(min_replicas=least, max_replicas=most, target_in_flight=target)
    return wanted.changed(replicas=within(wanted, stream.replicas))


def _replaced(stream: Stream, model_id: int, answers: Serving) -> Stream:
    """The stream on its way to answer with these; what answers now goes on until then."""
    former = stream.former
    if stream.status == "Running":
        former = Former(model_id=stream.model_id, serving=stream.serving, revision=stream.revision)
    return stream.changed(
        model_id=model_id,
        serving=answers,
        revision=stream.edition + 1,
        former=former,
        replicas=max(1, stream.replicas),
        status="Deploying" if stream.status == "Failed" else "Updating",
        failure=None,
    )


@router.delete("/v1/streams/<stream_id>", status_code=ACCEPTED)
def undeploy(call: Calling, stream_id: int) -> Response[StreamStatusView]:
    """Stop a stream from whatever state it is in, and revoke its tokens."""

    def plan() -> tuple[Stream, list[Write]]:
        stream = call.find(Stream, stream_id)
        if stream.status in _LEAVING:
            return stream, []
        leaving = stream.changed(status="Undeploying", updated_at=call.now())
        return leaving, [Put(leaving)]

    stream = commit(call.ports.catalog, plan)
    subject = credentials.stream_subject(stream_id)
    credentials.revoke(call.ports, credentials.links(call.ports, call.tenant, subject))
    _reconcile(call, stream)
    view = StreamStatusView(id=stream.id, status=stream.status)
    return accepted(f"/v1/streams/{stream.id}", view)


@router.get("/v1/streams/<stream_id>/logs")
def show_logs(call: Calling, stream_id: int, after: Annotated[int, Query(ge=0)] = 0) -> LogsView:
    """Show the log of a stream's replicas from position `after` on."""
    stream = call.find(Stream, stream_id)
    lines, position = call.ports.fleet.logs(call.tenant, stream.group, after=after)
    return LogsView(lines=tuple(redacted(line) for line in lines), after=position)


@router.get("/v1/streams/<stream_id>/traffic")
def show_traffic(call: Calling, stream_id: int) -> TrafficView:
    """Show what a stream answered within the last seconds."""
    stream = call.find(Stream, stream_id)
    return traffic.shown(call.ports, stream, len(_ready(call, stream)))


@router.post("/v1/streams/<stream_id>/tokens", status_code=CREATED)
def rotate(call: Calling, stream_id: int) -> Response[TokenView]:
    """Give a stream another token and revoke those it had."""
    stream = call.find(Stream, stream_id)
    token, subject = new_token(), credentials.stream_subject(stream_id)
    older = credentials.links(call.ports, call.tenant, subject)
    _add_token(call, stream, token)
    credentials.revoke(call.ports, older)
    return created(
        f"/v1/streams/{stream_id}/tokens", TokenView(id=stream_id, presigned_token=token)
    )


def _token(stream: Stream, token: str, now: float) -> list[Write]:
    return [Put(record) for record in credentials.of_stream(stream, token, now)]


def _add_token(call: Call, stream: Stream, token: str) -> None:
    """Raise Conflict once the stream is being undeployed."""

    def plan() -> tuple[None, list[Write]]:
        found = call.find(Stream, stream.id)
        if found.status in _LEAVING:
            raise Conflict(f"Stream {stream.id} is {found.status}.", hint="Deploy the model again.")
        return None, [Put(found), *_token(found, token, call.now())]

    commit(call.ports.catalog, plan)


def _ready(call: Call, stream: Stream) -> Sequence[Replica]:
    prefix = f"{number(stream.id)}/"
    return call.ports.catalog.query(Replica, call.tenant, prefix=prefix).items


def _reconcile(call: Call, stream: Stream) -> None:
    body = {"tenant": stream.tenant, "stream_id": stream.id}
    call.ports.queue.send(RECONCILE, [json.dumps(body).encode()])
