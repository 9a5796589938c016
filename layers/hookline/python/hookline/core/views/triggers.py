"""What the HTTP API answers of triggers and of what landed under them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from hookline.core.triggers import Drop, Trigger
from hookline.core.views.view import ServingView, View, serving_fields

Outcome = Literal["taken", "starter", "waiting", "ignored"]
"""Of a file that landed: a job has it, it began a job, it may get into one, none ever will."""


class TriggerView(ServingView):
    """Files that land in the volume are predicted with the model, gathered into jobs."""

    id: int
    volume_id: int
    model_id: int
    settle_s: int
    max_wait_s: int
    max_files: int
    suffixes: tuple[str, ...]
    marker: str
    manifest: str
    notify: str
    is_on: bool
    created_at: datetime

    @classmethod
    def of(cls, trigger: Trigger) -> Self:
        gathering = trigger.gathering.model_dump()
        return cls.model_validate({**dict(trigger), **gathering, **serving_fields(trigger.serving)})


class TriggersView(View):
    """The triggers that a request turned off."""

    items: tuple[TriggerView, ...]


class DropView(View):
    """One version of a file that landed, and the job that predicts it or why none does (yet).

    A `starter` is a marker or a manifest, with the job that it began.
    """

    trigger_id: int
    name: str
    size_bytes: int
    outcome: Outcome
    job_id: int | None
    reason: str
    seen_at: datetime

    @classmethod
    def of(cls, drop: Drop, outcome: Outcome, job_id: int | None, reason: str) -> Self:
        told = {"outcome": outcome, "job_id": job_id, "reason": reason}
        return cls.model_validate({**dict(drop), **told})
