"""The hooks a user may write, in the seed's signatures, and the one shape the pipeline calls.

init(prm)                        prm: path of the model file -> the model the others get
preprocess(input, model)         input: bytes -> array, or {input name: array}
predict(data, model)             data: what preprocess returned -> array
predict_batch(data, model)       data: list of the above -> list, one output per input
postprocess(output, raw_input)   -> str, bytes, or anything JSON can say: the answer, as is
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from hookline.core.errors import HookFailed
from hookline.runtime.items import Item

PARAMETERS = {
    "init": ("prm",),
    "preprocess": ("input", "model"),
    "predict": ("data", "model"),
    "predict_batch": ("data", "model"),
    "postprocess": ("output", "raw_input"),
}


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of one bundle as the pipeline calls them; None is one the user did not write."""

    init: Callable[[str], Any] | None = None
    preprocess: Callable[[Item, Any], Any] | None = None
    predict: Callable[[Any, Any], Any] | None = None
    predict_batch: Callable[[list[Any], Any], Any] | None = None
    postprocess: Callable[[Any, Item], Any] | None = None

    @property
    def has_predict(self) -> bool:
        return bool(self.predict or self.predict_batch)


def seed_hooks(module: ModuleType) -> Hooks:
    """The seed's hooks in `module`. Raise HookFailed for one that cannot be called as they are."""
    found = {name: _checked(module, name) for name in PARAMETERS}
    return Hooks(
        init=found["init"],
        preprocess=on_body(found["preprocess"]),
        predict=found["predict"],
        predict_batch=found["predict_batch"],
        postprocess=on_raw_input(found["postprocess"]),
    )


def on_body(preprocess: Callable[[bytes, Any], Any] | None) -> Callable[[Item, Any], Any] | None:
    """The seed's preprocess as one that takes the item."""
    if preprocess is None:
        return None
    hook = preprocess
    return lambda item, model: hook(item.body, model)


def on_raw_input(
    postprocess: Callable[[Any, bytes], Any] | None,
) -> Callable[[Any, Item], Any] | None:
    """The seed's postprocess as one that takes the item."""
    if postprocess is None:
        return None
    hook = postprocess
    return lambda output, item: hook(output, item.body)


def _checked(module: ModuleType, name: str) -> Callable[..., Any] | None:
    hook: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(hook):
        return None
    wanted = f"{name}({', '.join(PARAMETERS[name])})"
    if inspect.iscoroutinefunction(hook):
        raise HookFailed(f"The {name} hook is async.", hint=f"Write it as `def {wanted}`.")
    try:
        inspect.signature(hook).bind(*PARAMETERS[name])
    except TypeError as error:
        raise HookFailed(
            f"The {name} hook cannot be called as {wanted}.",
            why=f"{error}.",
            hint=f"Write it as `def {wanted}`.",
        ) from error
    except ValueError:  # some builtins have no signature to check
        return hook
    return hook
