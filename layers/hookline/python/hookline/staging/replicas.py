"""From the record of a stream to the process that runs its user's code.

Everything that needs the catalog happens before the exec; what runs after it has a clean
environment, no open files of the platform, and sees only its own folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from hookline.core.errors import NotFound
from hookline.core.groups import stream_of
from hookline.core.models import Model
from hookline.core.ports import Ports
from hookline.core.records import Stream
from hookline.runtime import spec as runtime_spec
from hookline.runtime.spec import ServedAs, ServerSpec
from hookline.staging.place import Place


def stage(ports: Ports, tenant: str, group: str, place: Place, server: ServerSpec) -> list[str]:
    """Lay out the files of a group's stream and return the command that serves them.

    Raise the error that prevents it.
    """
    stream_id = stream_of(group)
    stream = ports.catalog.get(Stream, tenant, stream_id)
    if stream is None:
        raise NotFound.of("stream", stream_id)
    answers = stream.answers_of(group)
    if answers is None:
        raise NotFound(f"Stream {stream.id} has been updated and no longer needs {group}.")
    model_id, serving = answers
    model = ports.catalog.get(Model, tenant, model_id)
    if model is None:
        raise NotFound.of("model", model_id)
    served = ServedAs(name=model.name, version=str(model.id), stream_id=str(stream_id))
    labels = {"tenant": tenant, "stream": str(stream_id)}
    server = msgspec.structs.replace(server, labels=labels, served=served)
    launch = place.run_dir / "launch.json"
    owner = f"{tenant}/{stream_id}"
    runtime_spec.write(place.launch_spec(ports, model, serving, server, owner=owner), launch)
    # -P: nothing is imported from the working folder, where user code may write
    return [sys.executable, "-P", "-m", "hookline.runtime.replica", str(launch)]


def become(command: list[str], run_dir: Path) -> NoReturn:
    """Run `command` in the place of this process."""
    os.execve(command[0], command, clean_environment(run_dir))  # noqa: S606 - no shell is wanted


def clean_environment(run_dir: Path) -> dict[str, str]:
    """What the user's code may see of this machine's settings: nothing that is ours."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    return {**kept, "HOME": str(run_dir), "TMPDIR": str(run_dir), "PYTHONUNBUFFERED": "1"}
