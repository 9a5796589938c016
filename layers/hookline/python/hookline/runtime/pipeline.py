"""The one path of every prediction: preprocess → stack → predict → split → postprocess.

A single request is a batch of one. preprocess and postprocess see one item, so a bad item fails
alone; a batch that fails in predict is halved until only the culprits fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from hookline.core.errors import HookFailed, HooklineError, InvalidInput, InvalidOutput
from hookline.runtime import logs
from hookline.runtime.formatters import as_vector, formatter_for
from hookline.runtime.guard import Guard
from hookline.runtime.hooks import Hooks
from hookline.runtime.inference_file import load_hooks
from hookline.runtime.items import (
    TENSORS,
    Answer,
    Item,
    Laps,
    Outcome,
    Outcomes,
    TensorAnswer,
    TensorItem,
)
from hookline.runtime.model import Model
from hookline.runtime.output_kinds import KINDS
from hookline.runtime.padding import padded_together
from hookline.runtime.preprocessors import by_mime_type
from hookline.runtime.rendering import answer_from
from hookline.runtime.signature import Signature, signature_of
from hookline.runtime.spec import PipelineSpec
from hookline.runtime.tracing import traced

__all__ = ["Answer", "Item", "Outcome", "Pipeline"]

PredictBatch = Callable[[list[Any]], Any]
_NO_HOOKS = Hooks()


@dataclass(frozen=True, slots=True)
class Stages:
    """What runs for each item and each batch: the user's hooks, canned ones in the gaps.

    `predict` gives one output or HooklineError per input, in order, and never raises.
    """

    preprocess: Callable[[Item], Any]
    predict: Callable[[list[Any]], list[Any]]
    postprocess: Callable[[Any, Item], Answer]


class Pipeline:
    """A model and its hooks, loaded. `model` is what the hooks are given."""

    def __init__(self, stages: Stages, model: Any, guard: Guard, hooks: Hooks = _NO_HOOKS) -> None:
        self._stages, self._guard = stages, guard
        self._own = model if not hooks.has_predict and isinstance(model, Model) else None
        self.model = model
        self.signature: Signature = signature_of(
            self._own,
            reads_files=hooks.preprocess is not None,
            writes_bodies=hooks.postprocess is not None,
        )

    @property
    def is_canned(self) -> bool:
        """Whether none of it is the user's: only then may it run in any thread, and in several."""
        return not self._guard.code_dir

    @classmethod
    def load(cls, spec: PipelineSpec) -> Pipeline:
        """Load the hooks, then the model.

        Raise HookFailed with the user's own traceback, ModelLoadFailed, or InvalidInput for
        formatter arguments or buckets that cannot be followed.
        """
        spec = _with_absolute_paths(spec)  # the hooks are about to change the working folder
        guard = Guard(spec.code_dir)
        hooks = load_hooks(spec.code_dir, spec.site_dirs) if spec.code_dir else Hooks()
        model = _loaded(spec, hooks, guard)
        stages = _stages(spec, hooks, model, guard)
        return cls(stages, model, guard, hooks)

    def worthwhile_items(self, max_items: int) -> int:
        """The batch beyond which nothing is gained, as far as that can be known without a body."""
        return self._own.worthwhile_items(max_items) if self._own else max_items

    def run(self, items: Sequence[Item]) -> Outcomes:
        """One outcome per item, in order. Never raises for an item's or a hook's fault."""
        if len(items) == 1 and not self.is_canned:
            with logs.about(items[0].request_id):
                return self._run(items)
        return self._run(items)

    def _run(self, items: Sequence[Item]) -> Outcomes:
        attempt, stages = self._guard.attempt, self._stages
        began_s = monotonic()
        results: list[Any] = [
            item.example
            if type(item) is TensorItem and item.example is not None
            else attempt("preprocess", stages.preprocess, item)
            for item in items
        ]
        good = [at for at, result in enumerate(results) if not isinstance(result, HooklineError)]
        preprocessed_s = monotonic()
        outputs = stages.predict([results[at] for at in good]) if good else []
        predicted_s = monotonic()
        for at, output in zip(good, outputs, strict=True):
            results[at] = output
            if isinstance(output, HooklineError):
                continue
            if type(items[at]) is TensorItem and self._own:
                results[at] = TensorAnswer(b"", TENSORS, self._own.named(output))
            else:
                results[at] = attempt("postprocess", stages.postprocess, output, items[at])
        outcomes = Outcomes(results)
        outcomes.laps = Laps(len(items), began_s, preprocessed_s, predicted_s, monotonic())
        return outcomes

    def warm_up(self) -> None:
        """Run the model once on zeros, so that the first caller does not pay for it."""
        if isinstance(self.model, Model):
            self.model.warm_up()


def _with_absolute_paths(spec: PipelineSpec) -> PipelineSpec:
    return msgspec.structs.replace(
        spec,
        model_path=str(Path(spec.model_path).absolute()),
        code_dir=str(Path(spec.code_dir).absolute()) if spec.code_dir else "",
        site_dirs=tuple(str(Path(folder).absolute()) for folder in spec.site_dirs),
    )


def _loaded(spec: PipelineSpec, hooks: Hooks, guard: Guard) -> Any:
    """What init returned, else the model file on its backend."""
    if spec.padding and (hooks.init or hooks.has_predict):
        raise InvalidInput(
            "The hooks have an init or a predict of their own, so nothing would be padded.",
            why="Inputs are padded to buckets where the model itself is what predicts.",
            hint="Deploy without buckets, or leave out those hooks.",
        )
    if hooks.init is None:
        return Model.load(spec)
    model = guard.call("init", hooks.init, spec.model_path)
    if model is None:
        raise HookFailed("The init hook returned None.", hint="Return the loaded model.")
    if not hooks.has_predict and not hasattr(model, "fprop"):
        raise HookFailed(
            f"The init hook returned a {type(model).__name__} that has no fprop.",
            why="Without a predict hook its fprop(data) would be called.",
            hint="Write predict(data, model).",
        )
    return model


def _stages(spec: PipelineSpec, hooks: Hooks, model: Any, guard: Guard) -> Stages:
    own = model if isinstance(model, Model) else None
    predicts_itself = own is not None and not hooks.has_predict
    preprocess = hooks.preprocess or by_mime_type.preprocess
    # Canned input is shaped after the model file even where init made something else of it.
    shaped_by = model if hooks.preprocess or own else Model.load(spec)
    formatted = hooks.postprocess or _formatter(spec, own, predicts_itself=predicts_itself)
    watched = traced if spec.trace_hooks else _unwatched
    return Stages(
        preprocess=_preprocess(
            watched("preprocess", _logged(preprocess) if hooks.preprocess else preprocess),
            shaped_by,
            fits=own if predicts_itself else None,
            is_hook=hooks.preprocess is not None,
        ),
        predict=_predict(hooks, model, guard, watched),
        postprocess=_postprocess(
            watched("postprocess", _logged(formatted, at=1) if hooks.postprocess else formatted)
        ),
    )


def _logged(hook: Callable[..., Any], at: int = 0) -> Callable[..., Any]:
    """`hook`, whose log lines name the request of the Item that is its argument `at`."""

    @wraps(hook)
    def call(*args: Any) -> Any:
        with logs.about(args[at].request_id):
            return hook(*args)

    return call


def _unwatched(_: str, hook: Callable[..., Any]) -> Callable[..., Any]:
    return hook


def _formatter(
    spec: PipelineSpec, own: Model | None, *, predicts_itself: bool
) -> Callable[[Any, Item], Answer]:
    labels = own.labels if own else spec.labels
    outputs = own.outputs if own and predicts_itself else ()
    postprocess = formatter_for(spec.formatter, spec.formatter_args, labels, outputs)
    if predicts_itself or spec.formatter in KINDS:  # there a matrix of one row is no vector
        return lambda output, item: postprocess(output, item.body)
    return lambda output, item: postprocess(as_vector(output), item.body)


def _preprocess(
    hook: Callable[[Item, Any], Any], model: Any, *, fits: Model | None, is_hook: bool
) -> Callable[[Item], Any]:
    """`hook` on `model`; its result is made to fit when the canned predict is next."""
    if fits is None:
        return lambda item: hook(item, model)
    fit = partial(_fit_of_hook, fits) if is_hook else fits.fit
    return lambda item: fit(hook(item, model))


def _fit_of_hook(model: Model, data: Any) -> Any:
    try:
        return model.fit(data)
    except InvalidInput as error:
        raise InvalidOutput(
            "The preprocess hook returned what the model does not take.",
            why=f"{error.what} {error.why}".strip(),
            hint=error.hint,
        ) from error


def _predict(
    hooks: Hooks,
    model: Any,
    guard: Guard,
    watched: Callable[[str, Callable[..., Any]], Callable[..., Any]],
) -> Callable[[list[Any]], list[Any]]:
    attempt = guard.attempt
    if hooks.predict_batch is not None:
        batched = watched("predict_batch", hooks.predict_batch)
        call = partial(attempt, "predict_batch", lambda data: _outputs(batched(data, model), data))
        return partial(bisect, call)
    if hooks.predict is None and isinstance(model, Model):
        run = watched("predict", model.predict_batch)
        by_shape = partial(_by_shape, partial(bisect, partial(attempt, "predict", run)))
        return partial(padded_together, model.padder, by_shape) if model.padder else by_shape
    predict = watched("predict", hooks.predict or _fprop)
    return lambda inputs: [attempt("predict", predict, data, model) for data in inputs]


def _fprop(data: Any, model: Any) -> Any:
    return model.fprop(data)


def _postprocess(hook: Callable[[Any, Item], Any]) -> Callable[[Any, Item], Answer]:
    return lambda output, item: answer_from(hook(output, item))


def bisect(call: PredictBatch, inputs: list[Any]) -> list[Any]:
    """One output or HooklineError per input; a batch that fails is tried again in halves."""
    outputs = call(inputs)
    if not isinstance(outputs, HooklineError):
        found: list[Any] = outputs
        return found
    if len(inputs) == 1:
        return [outputs]
    middle = len(inputs) // 2
    return bisect(call, inputs[:middle]) + bisect(call, inputs[middle:])


def _by_shape(
    predict: Callable[[list[Any]], list[Any]], examples: list[Mapping[str, Any]]
) -> list[Any]:
    """Predict examples of equal shapes together, and give the outputs back in order."""
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for at, example in enumerate(examples):
        groups.setdefault(tuple(array.shape for array in example.values()), []).append(at)
    if len(groups) == 1:
        return predict(list(examples))
    outputs: list[Any] = [None] * len(examples)
    for places in groups.values():
        for at, output in zip(places, predict([examples[at] for at in places]), strict=True):
            outputs[at] = output
    return outputs


def _outputs(result: Any, inputs: Sequence[Any]) -> list[Any]:
    """What predict_batch returned, checked to be one output per input."""
    if isinstance(result, (Mapping, str, bytes)) or not hasattr(result, "__iter__"):
        raise InvalidOutput(
            f"predict_batch returned a {type(result).__name__}.",
            hint="Return a list with one output per input, in the same order.",
        )
    outputs = list(result)
    if len(outputs) != len(inputs):
        raise InvalidOutput(
            f"predict_batch returned {len(outputs)} outputs for {len(inputs)} inputs.",
            hint="Return one output per input, in the same order.",
        )
    return outputs
