"""What a ready replica can be asked in other protocols than its own, whichever carries it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hookline.core.errors import HooklineError, NotFound
from hookline.runtime.batcher import DEFAULT_URGENCY, Batcher
from hookline.runtime.fitting import Array
from hookline.runtime.gathering import Gathering
from hookline.runtime.items import Answer, Item
from hookline.runtime.signature import Signature
from hookline.runtime.spec import ServedAs
from hookline.runtime.tally import Spent
from hookline.runtime.v2.rows import outputs_of

TellAnswers = Callable[[Sequence[Answer] | HooklineError], None]


@dataclass(slots=True)
class Counts:
    """Requests that came with rows, and the seconds from their submission to their end."""

    success: Spent = field(default_factory=Spent)
    failure: Spent = field(default_factory=Spent)
    last_ms: int = 0  # UTC epoch


class Service:
    """A model that is ready: what it takes, how it is called, and how to have rows predicted."""

    def __init__(
        self, signature: Signature, batcher: Batcher, served: ServedAs, max_items: int = 1
    ) -> None:
        self.signature, self.batcher, self.served = signature, batcher, served
        self.max_items = max_items
        self.counts = Counts()

    def check(self, model: str, version: str = "") -> None:
        """Raise NotFound unless that is how this model is called; no version is the one there is.

        A stream is also called by its id.
        """
        served = self.served
        if model not in (served.name, served.stream_id) or not model:
            raise NotFound(
                f"There is no model {model[:100]!r} here.",
                why=f"This stream serves {served.name!r}.",
                hint="Use that name, or the id of the stream.",
            )
        if version not in ("", served.version):
            raise NotFound(
                f"The model {model[:100]!r} has no version {version[:40]!r}.",
                why=f"This stream serves version {served.version}.",
            )

    def ask(
        self,
        items: Sequence[Item],
        tell: TellAnswers,
        *,
        deadline_s: float,
        urgency: int = DEFAULT_URGENCY,
    ) -> Gathering:
        """Predict `items`, which are of one request. Withdraw what comes back to stop it."""
        began_s = time.monotonic()

        def counted(answers: Sequence[Answer] | HooklineError) -> None:
            has_failed = isinstance(answers, HooklineError)
            spent = self.counts.failure if has_failed else self.counts.success
            spent.add(time.monotonic() - began_s)
            self.counts.last_ms = int(time.time() * 1000)
            tell(answers)

        gathering = Gathering(self.batcher, counted)
        gathering.submit(items, deadline_s=deadline_s, urgency=urgency)
        return gathering

    def tensors(self, answers: Sequence[Answer]) -> dict[str, Array]:
        """What `ask` told, as the outputs of the signature."""
        return outputs_of(self.signature, answers)
