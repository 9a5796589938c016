"""Examples that a model was or will be asked, in one file: named arrays without a batch axis.

Of hookline it imports nothing: steps in environments of other packages read them too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Example = dict[str, Array]


def store_examples(examples: Sequence[Mapping[str, Array]], batched: set[str], path: Path) -> None:
    """Write them; the inputs in `batched` get a batch axis of one, as the model takes them."""
    stored = {
        f"{index}.{name}": value[None] if name in batched else value
        for index, example in enumerate(examples)
        for name, value in example.items()
    }
    np.savez(path, **stored)  # type: ignore[arg-type]  # numpy's second parameter has a name too


def stored_examples(path: Path) -> Iterator[Example]:
    """What `store_examples` wrote, in its order, one at a time."""
    with np.load(path, allow_pickle=False) as stored:
        found: dict[int, list[tuple[str, str]]] = {}
        for key in stored.files:
            index, _, name = key.partition(".")
            found.setdefault(int(index), []).append((name, key))
        for index in sorted(found):
            yield {name: stored[key] for name, key in found[index]}
