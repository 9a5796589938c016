"""The engine of one job: opened when first needed, opened again when the user's code killed it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from hookline.batch.batch_size import BatchSize
from hookline.batch.entries import Source
from hookline.core.errors import HookCrashed, HooklineError, ModelLoadFailed, NotFound
from hookline.core.models import Model
from hookline.core.ports import Ports
from hookline.core.records import Job, Volume
from hookline.runtime.engine import EngineDied
from hookline.runtime.items import Answer, Item, Outcome

LOADS = 3  # what kills an engine that loads may be something else
FILE_TIMEOUT_S = 60.0  # as long as a request to a stream may take


class Engine(Protocol):
    """The pipeline in a process of its own. `run` raises EngineDied when it ends or hangs."""

    def run(self, items: Sequence[Item], timeout_s: float) -> list[Outcome]: ...

    def close(self) -> None: ...


OpenEngine = Callable[[Job, Model], Engine]
"""Stage and start. Raise a HooklineError that says why the user's model or code cannot load."""


class Session:
    """What a worker keeps between the shards of one job."""

    def __init__(
        self, job: Job, model: Model, source: Source, open_engine: OpenEngine, timeout_s: float
    ) -> None:
        self.job, self.source, self.batch_size = job, source, BatchSize()
        self._model, self._open, self._timeout_s = model, open_engine, timeout_s
        self._engine: Engine | None = None
        self.took_ms = 0.0  # per file of the batch that ran last

    @classmethod
    def of(
        cls, ports: Ports, job: Job, open_engine: OpenEngine, timeout_s: float = FILE_TIMEOUT_S
    ) -> Session:
        """Raise NotFound when the model or the volume is gone."""
        model = ports.catalog.get(Model, job.tenant, job.model_id)
        if model is None:
            raise NotFound.of("model", job.model_id)
        volume = ports.catalog.get(Volume, job.tenant, job.volume_id)
        if volume is None:
            raise NotFound.of("volume", job.volume_id)
        return cls(job, model, Source.of(ports, volume), open_engine, timeout_s)

    def serves(self, job: Job) -> bool:
        return (self.job.tenant, self.job.id) == (job.tenant, job.id)

    def run(self, items: Sequence[Item], may_go_on: Callable[[], bool]) -> Iterator[Outcome]:
        """One outcome per item, in order; fewer when `may_go_on` turns false between two calls.

        When the engine dies the items of the batch run once more, one by one. So only one fails
        that was in hand at two deaths, as an engine may be killed for what others do; and a bad
        file costs two engines, where halving the batch would cost one per halving.
        Raise what `open_engine` raises.
        """
        try:
            yield from self._timed(items)
            return
        except EngineDied:
            self._bury()
        for item in items:
            if not may_go_on():
                return
            yield self._alone(item)

    def _alone(self, item: Item) -> Outcome:
        try:
            [outcome] = self._timed([item])
        except EngineDied as died:
            self._bury()
            return _crashed(died)
        return outcome

    def _bury(self) -> None:
        self.close()
        self.batch_size = BatchSize()

    def close(self) -> None:
        """End the engine; the next run opens another."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _timed(self, items: Sequence[Item]) -> Sequence[Outcome]:
        if not items:
            return []
        engine = self._opened()
        began = time.monotonic()
        outcomes = engine.run(items, self._timeout_s)
        seconds = time.monotonic() - began
        self.batch_size.note(len(items), seconds, _size_bytes(outcomes))
        self.took_ms = round(1000 * seconds / len(items), 3)
        if len(outcomes) != len(items):
            raise HooklineError(f"The engine gave {len(outcomes)} outcomes for {len(items)} files.")
        return outcomes

    def _opened(self) -> Engine:
        """The engine. One that dies while it loads may have been killed, so it is no proof."""
        deaths = 0
        while self._engine is None:
            try:
                self._engine = self._open(self.job, self._model)
            except EngineDied as died:
                deaths += 1
                if deaths == LOADS:
                    raise ModelLoadFailed(
                        "The engine died each time it loaded the model and the hooks.",
                        why=str(died),
                    ) from died
        return self._engine


def _size_bytes(outcomes: Sequence[Outcome]) -> int:
    return sum(len(outcome.body) for outcome in outcomes if isinstance(outcome, Answer))


def _crashed(died: EngineDied) -> HookCrashed:
    return HookCrashed(
        "The process that ran the hooks on this file ended or hung.",
        why=str(died),
        hint="Try this file with `hookline run`; the other files were predicted.",
    )
