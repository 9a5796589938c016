"""Batch predictions: POST /v1/batches makes a job, which `hookline.batch` runs."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.event_handler import Response

from hookline.control import app, notifying, outbox, paging, serving
from hookline.control.accuracy import refuse_inaccurate
from hookline.control.answers import ACCEPTED, CREATED, accepted, created
from hookline.control.caller import Call, Calling
from hookline.control.idempotency import create_numbered
from hookline.control.outbox import Outgoing
from hookline.control.paging import Limit, PageToken
from hookline.control.transactions import Write, commit
from hookline.control.uses import kept
from hookline.core.errors import Conflict
from hookline.core.extras import check_parquet
from hookline.core.models import Model
from hookline.core.ports import Ports, Put
from hookline.core.records import Job, Notice, Shard, Volume, number
from hookline.core.requests import NewJob, NewRetry, ServingFields
from hookline.core.targets import OPEN_INTERNET, Targets
from hookline.core.topology import FINISH, Handler
from hookline.core.views.jobs import JobStatusView, JobView, NoticeView, PartView, ResultsView
from hookline.core.views.view import PageView, RequestView

router = app.Router()

SHAPE = ("split", "has_header", "output_format", "include", "joins_input", "notify")
"""The fields that say what a job's rows are, how they look, and who is told of its end."""


def build(ports: Ports, targets: Targets = OPEN_INTERNET) -> Handler:
    """The handler of the routes below."""
    return app.handler([router], ports, targets=targets)


@router.post("/v1/batches", status_code=CREATED)
def predict(call: Calling, body: NewJob) -> Response[JobView]:
    """Predict every file that the volume has now."""
    if body.output_format == "parquet":
        check_parquet()
    model = call.find(Model, body.model_id)
    refuse_inaccurate(model, is_forced=body.force)
    checked = serving.checked_for_workers(call, model, body)
    call.find(Volume, body.volume_id)
    notifying.checked(call, body.notify)
    fields = {name: getattr(body, name) for name in ("model_id", "volume_id", *SHAPE)}
    return _submitted(call, body, {**fields, "serving": checked})


@router.post("/v1/batches/<job_id>/retry", status_code=CREATED)
def retry(call: Calling, job_id: int, body: NewRetry) -> Response[JobView]:
    """Make the failed rows of a job again, in a new job that takes over the others.

    The results of the new job are whole. Of a job that was stopped, the missing rows are made too.
    """
    earlier = call.find(Job, job_id)
    _check_can_be_retried(earlier)
    model = call.find(Model, earlier.model_id)
    serves = serving.checked_for_workers(call, model, serving.changed(earlier.serving, body))
    return _submitted(
        call,
        body,
        {
            "model_id": earlier.model_id,
            "volume_id": earlier.volume_id,
            "serving": serves,
            "retry_of": job_id,
            **{name: getattr(earlier, name) for name in SHAPE},
        },
    )


def _check_can_be_retried(job: Job) -> None:
    """Raise Conflict for a job that runs, that has no rows, or whose rows are all good."""
    again = f"hookline batch predict {job.model_id} {job.volume_id}"
    if not job.has_ended:
        raise Conflict(
            f"The job {job.id} has not ended.",
            why=f"It is {job.status}.",
            hint=f"Wait with `hookline batch watch {job.id}`.",
        )
    if job.status == "Failed" or (job.status == "Stopped" and not job.shards):
        raise Conflict(
            f"The job {job.id} has no rows to go on from.",
            why="It ended before there were results.",
            hint=f"Begin anew with `{again}`.",
        )
    if job.status == "Completed" or (job.succeeded == job.total and not job.failed):
        raise Conflict(
            f"The job {job.id} has no failed rows.",
            hint=f"Predict every file again with `{again}`.",
        )


def _submitted(call: Call, body: ServingFields, fields: dict[str, Any]) -> Response[JobView]:
    """Store a new job of these fields, and call who plans it."""
    now = call.now()
    messages: list[Outgoing] = []

    def plan(job_id: int) -> tuple[Job, list[Write]]:
        job = Job(tenant=call.tenant, id=job_id, created_at=now, updated_at=now, **fields)
        messages[:] = outbox.for_new_job(job, now)
        needed = kept(call, job.model_id, job.volume_id, serving.bundle_volume(job.serving))
        return job, [*needed, *(Put(message) for message in messages)]

    job, _ = create_numbered(call, body, Job, plan)
    for message in messages:
        outbox.send(call.ports, message)
    return created(f"/v1/batches/{job.id}", _view(call, job))


@router.get("/v1/batches")
def list_jobs(call: Calling, limit: Limit = 100, page_token: PageToken = "") -> PageView[JobView]:
    """List jobs in the order they were made."""
    turn = paging.turn(call, limit, page_token)
    found = call.ports.catalog.query(Job, call.tenant, after=turn.after, limit=limit)
    return turn.page(found, lambda job: _view(call, job))


@router.get("/v1/batches/<job_id>")
def show_job(call: Calling, job_id: int) -> JobView:
    """Show one job, how far it is, and whether its end was told."""
    job = call.find(Job, job_id)
    notice = call.ports.catalog.get(Notice, call.tenant, job.key) if job.notify else None
    shown = NoticeView.model_validate(notice) if notice else None
    return _view(call, job).model_copy(update={"notice": shown})


def _view(call: Call, job: Job) -> JobView:
    if job.has_ended or not job.shards:
        return JobView.of(job, job.succeeded, job.failed)
    shards = [shard for shard in call.every(Shard, f"{number(job.id)}/") if shard.is_done]
    succeeded = sum(shard.succeeded for shard in shards)
    return JobView.of(job, succeeded, sum(shard.failed for shard in shards))


@router.post("/v1/batches/<job_id>/stop", status_code=ACCEPTED)
def stop(call: Calling, job_id: int) -> Response[JobStatusView]:
    """Stop a job between files. What is done stays downloadable; a job that has ended stays so."""
    messages: list[Outgoing] = []

    def plan() -> tuple[Job, list[Write]]:
        job, now = call.find(Job, job_id), call.now()
        if job.has_ended or job.status == "Stopping":
            return job, []
        about = {"tenant": job.tenant, "job_id": job.id}
        messages[:] = [outbox.outgoing(FINISH, about, now)]
        stopping = job.changed(status="Stopping", updated_at=max(now, job.updated_at))
        return stopping, [Put(stopping), *(Put(message) for message in messages)]

    job = commit(call.ports.catalog, plan)
    for message in messages:
        outbox.send(call.ports, message)
    return accepted(f"/v1/batches/{job_id}", JobStatusView(id=job.id, status=job.status))


@router.get("/v1/batches/<job_id>/results")
def results(call: Calling, job_id: int) -> ResultsView:
    """Say where to fetch the CSV of a job that has ended."""
    job = call.find(Job, job_id)
    if not job.has_ended:
        raise Conflict(
            f"The job {job_id} has not ended.",
            why=f"It is {job.status}.",
            hint=f"Wait with `hookline batch watch {job_id}`, or take what is done with --partial.",
        )
    if not job.results_key:
        raise Conflict(
            f"The job {job_id} has no results.", why=job.failure.message if job.failure else ""
        )
    return ResultsView(
        id=job.id,
        status=job.status,
        is_partial=job.status == "Stopped",
        size_bytes=job.results_size_bytes,
        sha256=job.results_sha256,
        request=RequestView.of(call.ports.blobs.presign("GET", job.results_key)),
    )


@router.get("/v1/batches/<job_id>/parts")
def parts(
    call: Calling, job_id: int, limit: Limit = 100, page_token: PageToken = ""
) -> PageView[PartView]:
    """List the rows that are there so far, shard by shard in the order of the files.

    A job that runs gains parts, and those that are there never change.
    """
    job, turn = call.find(Job, job_id), paging.turn(call, limit, page_token)
    found = call.ports.catalog.query(
        Shard, call.tenant, prefix=f"{number(job.id)}/", after=turn.after, limit=limit
    )
    done = [_part(call, shard) for shard in found.items if shard.is_done]
    return turn.answer(done, found.after)


def _part(call: Call, shard: Shard) -> PartView:
    return PartView(
        index=shard.index,
        first=shard.first,
        succeeded=shard.succeeded,
        failed=shard.failed,
        request=RequestView.of(call.ports.blobs.presign("GET", shard.part_key)),
    )
