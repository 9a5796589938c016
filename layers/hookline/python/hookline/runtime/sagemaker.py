"""SageMaker's inference.py as hooks: model_fn, input_fn, predict_fn, output_fn, transform_fn.

Found by name. A context is passed exactly when a function has one parameter more than it must
have, which is SageMaker's own rule (sagemaker-inference-toolkit, transformer.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from hookline.core.errors import HookFailed, UnsupportedMediaType
from hookline.runtime.hooks import Hooks
from hookline.runtime.items import Answer, Item
from hookline.runtime.rendering import answer_from

ACCEPT = "application/json"
_PARAMETERS = {
    "pre_model_fn": 1,
    "model_fn": 1,
    "model_warmup_fn": 2,
    "input_fn": 2,
    "predict_fn": 2,
    "output_fn": 2,
    "transform_fn": 4,
}
NAMES = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")
_DECODED = ("application/json", "text/csv")  # the toolkit hands these over as str


@dataclass(slots=True)
class Context:
    """What SageMaker's toolkit tells a function that asks for a context."""

    system_properties: dict[str, Any] = field(default_factory=dict)


def is_sagemaker(module: ModuleType) -> bool:
    """Whether `module` has any of SageMaker's functions."""
    return any(callable(getattr(module, name, None)) for name in NAMES)


def sagemaker_hooks(module: ModuleType) -> Hooks:
    """SageMaker's functions in `module` as hooks. Raise HookFailed for a set it would refuse."""
    context = Context()
    found = {name: _bound(module, name, context) for name in _PARAMETERS}
    transform = found["transform_fn"]
    others = [name for name in ("input_fn", "predict_fn", "output_fn") if found[name]]
    if transform and others:
        raise HookFailed(
            f"inference.py has transform_fn and {', '.join(others)}.",
            why="transform_fn does the work of the other three.",
            hint="Keep either transform_fn or the others.",
        )
    init = partial(_init, found, context) if found["model_fn"] else None
    if transform:
        return Hooks(init, lambda item, _: item, partial(_transform, transform), None, _as_is)
    return Hooks(
        init=init,
        preprocess=partial(_input, found["input_fn"]) if found["input_fn"] else None,
        predict=found["predict_fn"],
        postprocess=partial(_output, found["output_fn"]) if found["output_fn"] else None,
    )


def _init(found: dict[str, Callable[..., Any] | None], context: Context, prm: str) -> Any:
    model_dir = str(Path(prm).parent)
    context.system_properties["model_dir"] = model_dir
    if before := found["pre_model_fn"]:
        before(model_dir)
    load = found["model_fn"]
    model = load(model_dir) if load else None
    if warm_up := found["model_warmup_fn"]:
        warm_up(model_dir, model)
    return model


def _input(input_fn: Callable[..., Any], item: Item, _: Any) -> Any:
    return input_fn(_decoded(item), item.mime_type)


def _output(output_fn: Callable[..., Any], output: Any, item: Item) -> Answer:
    accept = _accepted(item)
    return _answer(output_fn(output, accept), accept)


def _transform(transform_fn: Callable[..., Any], item: Item, model: Any) -> Answer:
    accept = _accepted(item)
    return _answer(transform_fn(model, _decoded(item), item.mime_type, accept), accept)


def _accepted(item: Item) -> str:
    """What the caller of /invocations accepts; the toolkit's default if that may be anything."""
    return item.accept or ACCEPT


def _as_is(output: Any, _: Item) -> Any:
    return output


def _answer(result: Any, accept: str) -> Answer:
    """The toolkit's rule: a tuple is (body, content type), anything else has the accepted type."""
    body, mime_type = result if isinstance(result, tuple) else (result, accept)
    return Answer(answer_from(body).body, str(mime_type))


def _decoded(item: Item) -> bytes | str:
    if item.mime_type.partition(";")[0].strip().lower() not in _DECODED:
        return item.body
    try:
        return item.body.decode()
    except UnicodeDecodeError as error:
        raise UnsupportedMediaType("The body is not UTF-8.", why=f"{error}.") from error


def _bound(module: ModuleType, name: str, context: Context) -> Callable[..., Any] | None:
    function: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(function):
        return None
    wanted = _PARAMETERS[name]
    given = len(inspect.signature(function).parameters)
    if given not in (wanted, wanted + 1):
        raise HookFailed(
            f"{name} has {given} parameters.",
            why=f"SageMaker calls it with {wanted}, or with one more for the context.",
        )
    if given == wanted:
        return function
    return lambda *args: function(*args, context)
