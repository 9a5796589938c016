"""Which functions of an inference.py are hooks, and which were probably meant to be."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from difflib import get_close_matches
from types import ModuleType

from hookline.core.archives import HOOK_FILE
from hookline.core.errors import InvalidBundle
from hookline.runtime.hooks import PARAMETERS
from hookline.runtime.sagemaker import NAMES

_LIKENESS = 0.85  # post_process is postprocess; predict_one is a function of its own


def hook_names(module: ModuleType) -> list[str]:
    """The hooks in `module`. Raise InvalidBundle where there is none."""
    found = [name for name in (*PARAMETERS, *NAMES) if callable(getattr(module, name, None))]
    if not found:
        raise InvalidBundle(
            f"{HOOK_FILE} has no hook.",
            why=" ".join(misspelt(module, found)),
            hint=f"Write any of these functions: {', '.join(PARAMETERS)}.",
        )
    return found


def misspelt(module: ModuleType, found: Sequence[str]) -> list[str]:
    """A sentence for each function that is called almost like a hook that is missing."""
    missing = [name for name in (*PARAMETERS, *NAMES) if name not in found]
    own = [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name not in found
    ]
    near = {name: get_close_matches(name.lower(), missing, n=1, cutoff=_LIKENESS) for name in own}
    return [
        f"{name} is not a hook; did you mean {meant[0]}?" for name, meant in near.items() if meant
    ]
