"""Every setting that a process on AWS takes from its environment, parsed once.

An unknown HOOKLINE_ variable, a missing one or a bad value stops the process, naming it and what
is allowed. The stacks set them; people do not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from tempfile import gettempdir

from hookline.core.config import PARSERS, PREFIX, Parsers, natural
from hookline.core.errors import BadRequest
from hookline.core.ports import Quotas
from hookline.core.records import PLATFORM

PORT = 8080  # what the image listens on


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """What it takes to start processes. A task has none of it: only functions do.

    `task_definitions` are named `<role>-<device>`, with `-<gpus>` when there are more than one.
    `capacity_providers` are named by device. `log_streams` is how the streams of every task's log
    begin: the prefix of its log driver, a slash and the name of its container.
    """

    cluster: str
    task_definitions: Mapping[str, str]
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    log_group: str
    log_streams: str
    capacity_providers: Mapping[str, str] = field(default_factory=lambda: {"cpu": "FARGATE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """How a process in a container runs. Functions make nothing of it.

    `home` is a folder of its own, for what is fetched. `workers` are the shards that a worker has
    in hand at once, 0 for one per CPU of the task. `cache_gb` are those of the fetched models,
    `input_cache_gb` those of the files that a worker has read.
    """

    home: Path = field(default_factory=lambda: Path(gettempdir()) / "hookline")
    host: str = "0.0.0.0"
    port: int = PORT
    sandbox: str = "auto"
    trace_hooks: bool = False
    workers: int = 0
    cache_gb: int = 10
    input_cache_gb: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """All settings. `tenant` is the one that the process serves, PLATFORM when it serves all.

    `queues` are URLs by the names of core.topology; `<name>-dead` are their dead letters.
    `topics` are those that the tenant's jobs may notify.
    """

    table: str
    bucket: str
    queues: Mapping[str, str]
    tenant: str = PLATFORM
    topics: tuple[str, ...] = ()
    log_level: str = "INFO"
    fleet: FleetSettings | None = None
    process: ProcessSettings = field(default_factory=ProcessSettings)
    quotas: Quotas = field(default_factory=Quotas)


def _text(value: str) -> str:
    if not value:
        raise ValueError
    return value


def _texts(value: str) -> tuple[str, ...]:
    return tuple(_text(part.strip()) for part in value.split(","))


def _mapping(value: str) -> dict[str, str]:
    parsed = json.loads(value)
    if not isinstance(parsed, dict) or not all(isinstance(part, str) for part in parsed.values()):
        raise ValueError
    return parsed


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number


def _level(value: str) -> str:
    if value not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError
    return value


_EVERYWHERE: Parsers = {
    "bucket": (_text, "the name of a bucket"),
    "log_level": (_level, "DEBUG, INFO, WARNING or ERROR"),
    "queues": (_mapping, 'JSON such as {"plan": "https://sqs…"}'),
    "table": (_text, "the name of a table"),
    "tenant": (_text, "the name of a tenant"),
    "topics": (_texts, "the ARNs of SNS topics, separated by commas"),
}
_OF_FLEET: Parsers = {
    "capacity_providers": (_mapping, 'JSON such as {"cpu": "FARGATE"}'),
    "cluster": (_text, "the name or ARN of a cluster"),
    "log_group": (_text, "the name of a log group"),
    "log_streams": (_text, "the beginning of log streams, such as hookline/runtime"),
    "security_groups": (_texts, "security groups, separated by commas"),
    "subnets": (_texts, "subnets, separated by commas"),
    "task_definitions": (_mapping, 'JSON such as {"stream-cpu": "arn:aws:ecs:…"}'),
}
_OF_TENANT: Parsers = {
    f"max_{one.name}": (_positive, "a number, at least 1") for one in fields(Quotas)
}
_OF_CONTAINER: Parsers = {
    "cache_gb": (_positive, "a number, at least 1"),
    "input_cache_gb": (natural, "a number, 0 for none"),
}
_OF_PROCESS: Parsers = {
    one.name: {**PARSERS, **_OF_CONTAINER}[one.name] for one in fields(ProcessSettings)
}
_ALL: Parsers = {**_EVERYWHERE, **_OF_FLEET, **_OF_PROCESS, **_OF_TENANT}
_OPTIONAL = frozenset({"capacity_providers", "log_level", "tenant", "topics"})
NAMES = tuple(sorted(_ALL))


def from_environment(environ: Mapping[str, str] = os.environ) -> AwsSettings:
    """The settings of this process. Raise BadRequest for one that is unknown, bad or missing."""
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX)
    }
    values = {name: _parsed(name, value) for name, value in given.items()}
    _require(_EVERYWHERE, values)
    of_fleet = {name: values.pop(name) for name in _OF_FLEET if name in values}
    if of_fleet:
        _require(_OF_FLEET, of_fleet)
        values["fleet"] = FleetSettings(**of_fleet)  # type: ignore[arg-type]  # parsed above
    of_process = {name: values.pop(name) for name in _OF_PROCESS if name in values}
    values["process"] = ProcessSettings(**of_process)  # type: ignore[arg-type]  # parsed above
    of_tenant = {name: values.pop(name) for name in _OF_TENANT if name in values}
    quotas = {name.removeprefix("max_"): value for name, value in of_tenant.items()}
    values["quotas"] = Quotas(**quotas)  # type: ignore[arg-type]  # parsed above
    return AwsSettings(**values)  # type: ignore[arg-type]  # parsed above


def _parsed(name: str, value: str) -> object:
    if name not in _ALL:
        known = ", ".join(PREFIX + known.upper() for known in NAMES)
        raise BadRequest(
            f"{PREFIX}{name.upper()} is not a setting.", why=f"The settings on AWS are {known}."
        )
    parse, allowed = _ALL[name]
    try:
        return parse(value)
    except ValueError:
        raise BadRequest(
            f"{PREFIX}{name.upper()} cannot be {value!r}.", hint=f"Set it to {allowed}."
        ) from None


def _require(parsers: Parsers, values: Mapping[str, object]) -> None:
    for name in parsers:
        if name not in values and name not in _OPTIONAL:
            raise BadRequest(
                f"{PREFIX}{name.upper()} is missing.", hint=f"Set it to {parsers[name][1]}."
            )
