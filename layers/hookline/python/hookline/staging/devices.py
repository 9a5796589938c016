"""Which GPUs or NeuronCores of this machine a replica's processes get: one place for each.

NeuronCores belong to one process each, and several replicas may be on one machine. So whoever
plans holds a lock on each core that it gives out, which the processes that it becomes inherit and
the kernel frees when the last of them ends. A GPU belongs to one stream in the same way: its
replicas share it where there is no other, as the new ones of an update do with the old.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hookline.core.errors import InvalidInput, Unavailable
from hookline.core.models import Compilation, Model
from hookline.core.neuroncores import CoreGroup, Machine, fill
from hookline.core.records import Serving

_PATTERN, _GPU_PATTERN = "neuron[0-9]*", "nvidia[0-9]*"
_MAX_OWNER_BYTES = 1000


def places(
    model: Model, serving: Serving, locks: Path, dev: Path, *, owner: str = ""
) -> tuple[str, ...]:
    """The place of each process, as its driver names it; none on the CPU.

    `owner` is the stream that gets them; without one GPUs are shared with what runs there. Raise
    Unavailable where the machine has no such device, or none that is free.
    """
    if serving.device == "gpu" and not owner:
        return tuple(map(str, range(serving.gpus)))
    if serving.device == "gpu":
        return claimed_gpus(serving.gpus, owner, locks / "gpus", dev)
    if serving.device not in ("inf1", "inf2"):
        return ()
    if model.compilation is None:
        raise InvalidInput(
            f"Model {model.id} is not compiled for {serving.device}.",
            hint=f"Run `hookline model compile {model.id} --target {serving.device}`.",
        )
    groups = claimed(_machine(serving, dev), model.compilation, serving.gpus, locks)
    return tuple(group.visible for group in groups)


def claimed_gpus(count: int, owner: str, locks: Path, dev: Path) -> tuple[str, ...]:
    """GPUs that no stream but `owner` has, free ones first, until this process ends.

    Raise Unavailable where there are not so many.
    """
    there = len(list(dev.glob(_GPU_PATTERN))) or count  # some drivers make no such files
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / "planning").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        paths = {number: locks / str(number) for number in range(there)}
        free = [number for number, path in paths.items() if _is_free(path)]
        ours = [n for n, path in paths.items() if n not in free and _owner(path) == owner]
        ours.sort(key=lambda number: paths[number].stat().st_mtime_ns)  # in turn: as last taken
        if count > len(free) + len(ours):
            raise Unavailable(
                f"There is no GPU left for this stream, which asks for {count}.",
                why=f"Other streams have {there - len(free) - len(ours)} of the machine's {there}.",
                hint="Undeploy a stream, ask for fewer with -g, or leave out -g to use the CPU.",
            )
        chosen = sorted([*free, *ours][:count])
        for number in chosen:
            _take(paths[number], owner)
    return tuple(map(str, chosen))


def claimed(machine: Machine, compiled: Compilation, cores: int, locks: Path) -> list[CoreGroup]:
    """Free groups for as many processes as `cores` hold (0: all), locked until this process ends.

    Raise Unavailable where there is no room for all of them.
    """
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / "planning").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # whoever plans is done in a moment
        held = {core: _lock(locks / str(core)) for core in range(machine.cores)}
        taken = frozenset(core for core, lock in held.items() if lock is None)
        kept: set[int] = set()
        try:
            groups = fill(machine, compiled.cores, taken)
            wanted = cores // compiled.cores or len(groups)
            if wanted > len(groups):
                raise Unavailable(
                    f"There is no room for {wanted} processes of {compiled.cores} NeuronCores.",
                    why=f"{len(taken)} of the machine's {machine.cores} cores are taken.",
                    hint="Ask for fewer with --cores, or undeploy a stream.",
                )
            groups = groups[:wanted]
            kept = {core for group in groups for core in group.cores}
        finally:
            for core, lock in held.items():
                if lock is not None and core not in kept:
                    os.close(lock)
    return groups


def _machine(serving: Serving, dev: Path) -> Machine:
    chips = len(list(dev.glob(_PATTERN)))
    if not chips:
        raise Unavailable(
            f"This machine has no {serving.device} device.",
            why=f"There is no {dev}/neuron0, which its driver makes.",
            hint="Deploy where hookline has such instances, or leave out --device and serve the "
            "model it was compiled from on cpu.",
        )
    return Machine("inf1" if serving.device == "inf1" else "inf2", chips)


def _is_free(path: Path) -> bool:
    found = _lock(path)
    if found is None:
        return False
    os.close(found)
    return True


def _owner(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_OWNER_BYTES).decode()


def _take(path: Path, owner: str) -> None:
    """Hold the GPU beside other replicas of the same stream, also after an exec."""
    path.write_text(owner)
    found = os.open(path, os.O_RDONLY)
    fcntl.flock(found, fcntl.LOCK_SH)
    os.set_inheritable(found, True)


def _lock(path: Path) -> int | None:
    """A lock that outlives an exec; None where another has it."""
    found = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(found)
        return None
    os.set_inheritable(found, True)
    return found
