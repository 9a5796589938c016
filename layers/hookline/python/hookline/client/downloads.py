"""Many files out of one volume: slots asked for by the page, files fetched by a few threads."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

from hookline.client.files import replaced
from hookline.client.uploads import PAGE_FILES, UPLOADERS, Slots
from hookline.client.views import Slot
from hookline.client.wire import Wire
from hookline.core.errors import InvalidOutput, from_problem


def save_all(wire: Wire, volume_id: int, names: Iterable[str], folder: Path) -> None:
    """Write each file below `folder`. Raise the first error; what came before it stays."""
    wanted = iter(names)
    with ThreadPoolExecutor(UPLOADERS) as pool:
        while page := list(islice(wanted, PAGE_FILES)):
            path = f"/v1/volumes/{volume_id}/downloads"
            answer = wire.call("POST", path, Slots, body={"names": page})
            for _ in pool.map(partial(_save, wire, folder), answer.items):
                pass


def _save(wire: Wire, folder: Path, slot: Slot) -> None:
    if slot.error:
        raise from_problem(slot.error)
    target = folder / slot.name
    if slot.request is None or not target.resolve().is_relative_to(folder.resolve()):
        raise InvalidOutput(f"The cloud gave no usable place for the file {slot.name!r}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with replaced(target) as file:
        for chunk in wire.fetch(slot.request):
            file.write(chunk)
