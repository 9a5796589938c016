"""A replica of a stream: learns which stream from ECS, stages it, and becomes its runtime."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import NoReturn

from hookline.adapters.aws import wiring
from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.settings import AwsSettings
from hookline.adapters.aws.task import METADATA, OwnTask, own_group
from hookline.container.layout import place_in, whole_cpus
from hookline.container.patience import patiently
from hookline.core.errors import BadRequest, NotFound
from hookline.core.groups import stream_of
from hookline.runtime.spec import ServerSpec
from hookline.staging import replicas

DRAIN_S = 90.0  # a request may take 60 s, and ECS kills a task 120 s after it asked it to end


def run(settings: AwsSettings, task: OwnTask | None) -> NoReturn:
    """Never return: the process goes on as the runtime. Raise what keeps it from that."""
    if task is None:
        raise BadRequest(
            f"{METADATA} is missing.",
            why="A replica learns from ECS which stream it is of.",
            hint="Deploy a stream instead of starting this by hand.",
        )
    command, run_dir = patiently(partial(staged, settings, task, Clients()))
    replicas.become(command, run_dir)


def staged(settings: AwsSettings, task: OwnTask, clients: Clients) -> tuple[list[str], Path]:
    """What to become, and the folder that was laid out for it; none is left if this raises."""
    tenant, group = own_group(clients, task, settings.tenant)
    if not stream_of(group):
        raise NotFound(f"The group {group} is not one of a stream.")
    place = place_in(settings, threads=whole_cpus(task) if task.cpus else 0)
    server = ServerSpec(host=settings.process.host, port=settings.process.port, drain_s=DRAIN_S)
    try:
        command = replicas.stage(wiring.ports(settings, clients), tenant, group, place, server)
    except BaseException:
        shutil.rmtree(place.run_dir, ignore_errors=True)
        raise
    return command, place.run_dir
