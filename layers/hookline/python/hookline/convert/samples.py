"""Files to try a model on: arrays as they are, and others as streams of it would be sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hookline.convert.cases import ARRAYS
from hookline.core.errors import NotFound
from hookline.runtime.spec import Preparation


@dataclass(frozen=True, slots=True)
class Samples:
    """The files that somebody gave; `preparation` says how images become inputs."""

    paths: tuple[Path, ...] = ()
    preparation: Preparation = field(default_factory=Preparation)

    @property
    def arrays(self) -> tuple[Path, ...]:
        return tuple(path for path in self.paths if path.suffix in ARRAYS)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(path for path in self.paths if path.suffix not in ARRAYS)

    def check(self) -> None:
        """Raise NotFound for one that is not there."""
        for path in self.paths:
            if not path.is_file():
                raise NotFound(f"There is no file {path}.", hint="Check --sample.")


@dataclass(frozen=True, slots=True)
class Trials:
    """What a step is to try: arrays, and the `examples` that the files `names` were made."""

    arrays: tuple[Path, ...] = ()
    examples: Path | None = None
    names: tuple[str, ...] = ()

    @property
    def samples(self) -> tuple[str, ...]:
        return tuple(str(path.resolve()) for path in self.arrays)

    @property
    def details(self) -> dict[str, Any]:
        """What a job is told of the examples."""
        return {"examples": str(self.examples), "names": list(self.names)} if self.examples else {}

    @property
    def shown(self) -> tuple[Path, ...]:
        """What a process must see."""
        return (*self.arrays, *([self.examples] if self.examples else []))


NONE, NO_TRIALS = Samples(), Trials()
