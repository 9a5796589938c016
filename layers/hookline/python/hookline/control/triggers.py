"""Triggers of a volume, and the history of what landed in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aws_lambda_powertools.event_handler import Response

from hookline.control import app, notifying, paging, serving
from hookline.control.accuracy import refuse_inaccurate
from hookline.control.answers import CREATED, created
from hookline.control.caller import Call, Calling
from hookline.control.idempotency import create_numbered
from hookline.control.outcomes import Outcomes
from hookline.control.paging import Limit, PageToken
from hookline.control.transactions import Write, commit
from hookline.control.uses import kept
from hookline.control.volume_files import source
from hookline.core.models import Model
from hookline.core.ports import Put
from hookline.core.records import Volume
from hookline.core.requests import NewTrigger
from hookline.core.triggers import Drop, Trigger
from hookline.core.views.triggers import DropView, TriggersView, TriggerView
from hookline.core.views.view import PageView

router = app.Router()


@router.post("/v1/volumes/<volume_id>/triggers", status_code=CREATED)
def watch(call: Calling, volume_id: int, body: NewTrigger) -> Response[TriggerView]:
    """Predict what lands in the volume from now on. Asking for the same again changes nothing."""
    source(call.ports, call.find(Volume, volume_id))
    model = call.find(Model, body.model_id)
    refuse_inaccurate(model, is_forced=body.force)
    checked = serving.checked_for_workers(call, model, body)
    same: dict[str, Any] = {
        "model_id": body.model_id,
        "serving": checked,
        "gathering": body.gathering(),
        "notify": notifying.checked(call, body.notify),
    }
    for trigger in _live(call, volume_id):
        if same == {name: getattr(trigger, name) for name in same}:
            return _created(trigger)

    def plan(trigger_id: int) -> tuple[Trigger, list[Write]]:
        trigger = Trigger(
            tenant=call.tenant,
            id=trigger_id,
            volume_id=volume_id,
            **same,
            created_at=call.now(),
        )
        return trigger, [*kept(call, body.model_id, volume_id, serving.bundle_volume(body))]

    trigger, _ = create_numbered(call, body, Trigger, plan)
    return _created(trigger)


def _created(trigger: Trigger) -> Response[TriggerView]:
    location = f"/v1/volumes/{trigger.volume_id}/triggers"
    return created(location, TriggerView.of(trigger))


@router.delete("/v1/volumes/<volume_id>/triggers")
def unwatch(call: Calling, volume_id: int) -> TriggersView:
    """Turn off every trigger of the volume."""
    call.find(Volume, volume_id)
    turned_off = [_turn_off(call, trigger.id) for trigger in _live(call, volume_id)]
    return TriggersView(items=tuple(TriggerView.of(trigger) for trigger in turned_off))


def _turn_off(call: Call, trigger_id: int) -> Trigger:
    def plan() -> tuple[Trigger, list[Write]]:
        trigger = call.find(Trigger, trigger_id).changed(is_on=False)
        return trigger, [Put(trigger)]

    return commit(call.ports.catalog, plan)


@router.get("/v1/volumes/<volume_id>/triggers")
def list_triggers(
    call: Calling, volume_id: int, limit: Limit = 100, page_token: PageToken = ""
) -> PageView[TriggerView]:
    """List the triggers of a volume, those that were turned off as well."""
    call.find(Volume, volume_id)
    turn = paging.turn(call, limit, page_token)
    mine = [trigger for trigger in _of(call, volume_id) if trigger.key > turn.after]
    after = mine[limit - 1].key if len(mine) > limit else ""
    return turn.answer([TriggerView.of(trigger) for trigger in mine[:limit]], after)


@router.get("/v1/volumes/<volume_id>/drops")
def list_drops(
    call: Calling, volume_id: int, limit: Limit = 100, page_token: PageToken = ""
) -> PageView[DropView]:
    """List the files that landed, trigger by trigger, by their names."""
    call.find(Volume, volume_id)
    turn = paging.turn(call, limit, page_token)
    found: list[Drop] = []
    triggers = {trigger.id: trigger for trigger in _of(call, volume_id)}
    for trigger in triggers.values():
        if len(found) < limit:
            prefix, more = f"{trigger.key}/", limit - len(found)
            found += call.ports.catalog.query(
                Drop, call.tenant, prefix=prefix, after=turn.after, limit=more
            ).items
    after = found[-1].key if len(found) == limit else ""
    outcomes = Outcomes(call, triggers)
    return turn.answer([outcomes.of(drop) for drop in found], after)


def _of(call: Call, volume_id: int) -> Iterator[Trigger]:
    return (trigger for trigger in call.every(Trigger) if trigger.volume_id == volume_id)


def _live(call: Call, volume_id: int) -> list[Trigger]:
    return [trigger for trigger in _of(call, volume_id) if trigger.is_on]
