"""Who still needs a model or a volume, and how to keep one while it is being put to use."""

from __future__ import annotations

from collections.abc import Iterator

from hookline.control.caller import Call
from hookline.core.errors import Conflict
from hookline.core.models import Model
from hookline.core.ports import Put
from hookline.core.records import STREAM_ENDS, Job, Record, Serving, Stream, Volume
from hookline.core.triggers import Trigger

MAX_NAMED = 5


def kept(call: Call, model_id: int, *volume_ids: int | None) -> list[Put]:
    """Writes that change nothing, but make the transaction fail if one of these was deleted."""
    records: list[Record] = [call.find(Model, model_id)]
    records += [call.find(Volume, id_) for id_ in sorted({i for i in volume_ids if i is not None})]
    return [Put(record) for record in records]


def refuse_if_used(call: Call, record: Model | Volume) -> None:
    """Raise Conflict, naming who needs it."""
    needed_by = list(_needing(call, record))
    if needed_by:
        shown = ", ".join(needed_by[:MAX_NAMED]) + (", …" if len(needed_by) > MAX_NAMED else "")
        raise Conflict(
            f"The {record.kind} {record.id} is in use.",
            why=f"It is needed by {shown}.",
            hint="Undeploy, stop or unwatch these first.",
        )


def _needing(call: Call, record: Model | Volume) -> Iterator[str]:
    for stream in call.every(Stream):
        answers = [stream.answers_of(group) for group in stream.groups]
        if stream.status not in STREAM_ENDS and any(
            _needs(record, serving, model_id) for model_id, serving in filter(None, answers)
        ):
            yield f"stream {stream.id}"
    for job in call.every(Job):
        if not job.has_ended and _needs(record, job.serving, job.model_id, job.volume_id):
            yield f"batch {job.id}"
    for trigger in call.every(Trigger):
        if trigger.is_on and _needs(record, trigger.serving, trigger.model_id, trigger.volume_id):
            yield f"the trigger of volume {trigger.volume_id}"


def _needs(
    record: Model | Volume, serving: Serving, model_id: int, volume_id: int | None = None
) -> bool:
    if isinstance(record, Model):
        return record.id == model_id
    bundle_volume_id = serving.bundle.volume_id if serving.bundle else None
    return record.id in (volume_id, bundle_volume_id)
