"""Files out of the cloud: a model's, a job's results, and many of a volume by a few threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256 as new_digest
from itertools import islice
from pathlib import Path

from hookline.client.files import replaced, sha256_of
from hookline.client.uploads import PAGE_FILES, UPLOADERS, Slots
from hookline.client.views import ModelFile, Results, Slot
from hookline.client.wire import Wire
from hookline.core.errors import InvalidOutput, from_problem


def save_model(wire: Wire, model_id: int, path: Path) -> None:
    """Write the file of a model to `path`. Raise InvalidOutput when it came cut or altered."""
    found = wire.call("GET", f"/v1/models/{model_id}/file", ModelFile)
    with replaced(path) as target:
        for chunk in wire.fetch(found.request):
            target.write(chunk)
    if sha256_of(path) != found.sha256:
        what = f"The file of model {model_id} arrived damaged."
        raise InvalidOutput(what, why="Its digest differs.", hint="Download it again.")


def results(wire: Wire, found: Results) -> Iterator[bytes]:
    """The CSV in chunks. Raise InvalidOutput at its end when it came cut or altered."""
    digest, size_bytes = new_digest(), 0
    for chunk in wire.fetch(found.request):
        digest.update(chunk)
        size_bytes += len(chunk)
        yield chunk
    if found.sha256 and digest.hexdigest() != found.sha256:
        what = f"The results of job {found.id} arrived damaged: {size_bytes} bytes."
        raise InvalidOutput(what, why="Their digest differs.", hint="Download them again.")


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
