"""Many files into one volume: slots asked for by the page, files sent by a few threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

from hookline.client.files import LocalFile, chunks
from hookline.client.views import Slot, View
from hookline.client.wire import Wire
from hookline.core.errors import HooklineError, InvalidInput, NotFound, from_problem

PAGE_FILES = 1000  # the most that one request for slots may name
UPLOADERS = 8

Outcome = tuple[LocalFile, HooklineError | None]


class Slots(View, frozen=True, kw_only=True):
    """The answer to a request for slots, in the order of the names."""

    items: tuple[Slot, ...]


def send_all(wire: Wire, volume_id: int, found: Iterable[LocalFile]) -> Iterator[Outcome]:
    """Each file and its error or None, in order; memory is that of one page.

    When the slots themselves are refused, that error is raised: no file of the page could be sent.
    """
    files = iter(found)
    with ThreadPoolExecutor(UPLOADERS) as pool:
        while page := list(islice(files, PAGE_FILES)):
            slots = _slots(wire, volume_id, page)
            try:
                yield from zip(page, pool.map(partial(_send, wire), page, slots), strict=True)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)  # Ctrl-C does not send the rest
                raise


def _slots(wire: Wire, volume_id: int, page: list[LocalFile]) -> list[Slot]:
    wanted = [{"name": file.name, "size_bytes": file.size_bytes} for file in page]
    path = f"/v1/volumes/{volume_id}/uploads"
    answer = wire.call("POST", path, Slots, body={"files": wanted})
    by_name = {slot.name: slot for slot in answer.items}
    return [by_name.get(file.name, Slot(name=file.name)) for file in page]


def _send(wire: Wire, file: LocalFile, slot: Slot) -> HooklineError | None:
    if slot.error:
        return from_problem(slot.error)
    if not slot.request:
        return InvalidInput("The cloud gave no place for this file.")
    try:
        wire.put(slot.request, lambda: chunks(file.path), file.size_bytes)
    except HooklineError as error:
        return error
    except OSError as error:
        return NotFound(f"{file.path} cannot be read.", why=f"{error.strerror}.")
    return None
