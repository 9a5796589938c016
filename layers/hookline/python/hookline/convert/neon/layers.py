"""Maps neon's layers to ONNX: one function for each kind, all on [N, …] with neon's own shapes.

neon keeps an example as a column; here it is a row: [N, C, H, W] for images, [N, F, T] for
sequences of T steps, [N, F] for anything flat. What each layer computes is in neon's documentation
(neon.layers) and is checked against an implementation of it in numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from hookline.convert.neon.file import Layer
from hookline.convert.onnxwriter import Array, Graph
from hookline.core.errors import InvalidModel

Shape = tuple[int, ...]
_IMAGE, _SEQUENCE = 3, 2  # axes of one example
_BATCH_NORM_EPS = 1e-3  # neon's default since 1.3; other values are stored
_CLIP_AT = 20.0  # Rectlinclip's default


@dataclass(frozen=True, slots=True)
class Flow:
    """What comes out of a layer: the value's name, and the shape of one example."""

    value: str
    shape: Shape


class Network:
    """Builds the graph of a model, layer by layer."""

    def __init__(self, graph: Graph, *, is_caffe: bool) -> None:
        self.graph, self.is_caffe = graph, is_caffe

    def through(self, layer: Layer, flow: Flow) -> Flow:
        """`flow` after `layer`. Raise InvalidModel, naming the layer, where there is no mapping."""
        mapped = _LAYERS.get(layer.kind)
        if mapped is None:
            raise InvalidModel(
                f"The neon layer {layer.kind} has no counterpart here.",
                why=f"Known are {', '.join(sorted(_LAYERS))}.",
                hint="Rebuild that part of the model with these, or in another framework.",
            )
        try:
            return mapped(self, layer, flow)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            name = layer.config.get("name", "")
            raise InvalidModel(
                f"The neon layer {layer.kind} {name} does not fit what comes before it.",
                why=f"It gets {list(flow.shape)}: {type(error).__name__}: {error}.",
                hint="The file may be damaged: save it again with model.save_params.",
            ) from error

    def flat(self, flow: Flow) -> Flow:
        """One axis for each example."""
        if len(flow.shape) == 1:
            return flow
        return Flow(self.graph.add("Flatten", [flow.value], axis=1), (prod(flow.shape),))

    def reshaped(self, flow: Flow, shape: Shape) -> Flow:
        """The same numbers in another shape."""
        if flow.shape == shape:
            return flow
        target = self.graph.numbers(-1, *shape)
        return Flow(self.graph.add("Reshape", [flow.value, target]), shape)


def _sequential(net: Network, layer: Layer, flow: Flow) -> Flow:
    for each in layer.layers:
        flow = net.through(each, flow)
    return flow


def _trunk(net: Network, layer: Layer, flow: Flow) -> Flow:
    """Of a tree only the trunk answers; the branches were for training."""
    return net.through(layer.layers[0], flow)


def _same(_net: Network, _layer: Layer, flow: Flow) -> Flow:
    return flow


def _linear(net: Network, layer: Layer, flow: Flow) -> Flow:
    weights = _floats(layer.params["W"])
    nout = weights.shape[0]
    if len(flow.shape) == _SEQUENCE:
        _expect(weights, (nout, flow.shape[0]))
        value = net.graph.add("MatMul", [net.graph.weight(weights), flow.value])
        return Flow(value, (nout, flow.shape[1]))
    flow = net.flat(flow)
    _expect(weights, (nout, flow.shape[0]))
    value = net.graph.add("MatMul", [flow.value, net.graph.weight(weights.T)])
    return Flow(value, (nout,))


def _bias(net: Network, layer: Layer, flow: Flow) -> Flow:
    values = _floats(layer.params["W"]).reshape(-1)
    _expect(values, flow.shape[:1])
    added = net.graph.weight(values.reshape(-1, *[1] * (len(flow.shape) - 1)))
    return Flow(net.graph.add("Add", [flow.value, added]), flow.shape)


def _convolution(net: Network, layer: Layer, flow: Flow) -> Flow:
    height, width, maps = _sides(layer.config["fshape"], ("R", "S", "K"))
    channels = _image(flow)[0]
    strides = _pair(layer.config.get("strides"), "str", 1)
    pads = _pair(layer.config.get("padding"), "pad", 0)
    gaps = _pair(layer.config.get("dilation"), "dil", 1)
    weights = _floats(layer.params["W"]).reshape(channels, height, width, maps)
    value = net.graph.add(
        "Conv",
        [flow.value, net.graph.weight(weights.transpose(3, 0, 1, 2))],
        kernel_shape=[height, width],
        strides=strides,
        pads=[*pads, *pads],
        dilations=gaps,
    )
    reach = [(side - 1) * gap + 1 for side, gap in zip((height, width), gaps, strict=True)]
    sizes = _sizes(flow.shape[1:], reach, strides, pads, is_ceiled=False)
    return Flow(value, (maps, *sizes))


def _pooling(net: Network, layer: Layer, flow: Flow) -> Flow:
    shape = _image(flow)
    given = layer.config["fshape"]
    window = list(shape[1:]) if given == "all" else list(_sides(given, ("R", "S")))
    strides = _pair(layer.config.get("strides"), "str", 0)
    strides = [stride or side for stride, side in zip(strides, window, strict=True)]
    pads = _pair(layer.config.get("padding"), "pad", 0)
    is_average = layer.config.get("op", "max") == "avg"
    value = net.graph.add(
        "AveragePool" if is_average else "MaxPool",
        [flow.value],
        kernel_shape=window,
        strides=strides,
        pads=[*pads, *pads],
        ceil_mode=int(net.is_caffe),
    )
    sizes = _sizes(shape[1:], window, strides, pads, is_ceiled=net.is_caffe)
    return Flow(value, (shape[0], *sizes))


def _batch_norm(net: Network, layer: Layer, flow: Flow) -> Flow:
    """The running mean and variance; older files keep the four arrays in a list."""
    stored = layer.params
    names = ("gamma", "beta", "gmean", "gvar")
    if not isinstance(stored, Mapping):
        stored = dict(zip(("beta", "gamma", "gmean", "gvar"), stored, strict=True))
    arrays = [_floats(stored[name]).reshape(-1) for name in names]
    for array in arrays:
        _expect(array, flow.shape[:1])
    weights = [net.graph.weight(array) for array in arrays]
    eps = float(layer.config.get("eps", _BATCH_NORM_EPS))
    value = net.graph.add("BatchNormalization", [flow.value, *weights], epsilon=eps)
    return Flow(value, flow.shape)


def _activation(net: Network, layer: Layer, flow: Flow) -> Flow:
    return _transformed(net, layer.config["transform"], flow)


def _transformed(net: Network, transform: Mapping[str, Any], flow: Flow) -> Flow:
    kind, config = _transform(transform)
    if kind not in _TRANSFORMS:
        raise InvalidModel(
            f"The neon transform {kind} has no counterpart here.",
            why=f"Known are {', '.join(sorted(_TRANSFORMS))}.",
            hint="Rebuild that part of the model with these, or in another framework.",
        )
    return _TRANSFORMS[kind](net, config, flow)


def _transform(stored: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return str(stored["type"]).rpartition(".")[2], stored.get("config") or {}


def _elementwise(operator: str) -> Callable[[Network, Mapping[str, Any], Flow], Flow]:
    def mapped(net: Network, _config: Mapping[str, Any], flow: Flow) -> Flow:
        return Flow(net.graph.add(operator, [flow.value]), flow.shape)

    return mapped


def _rectlin(net: Network, config: Mapping[str, Any], flow: Flow) -> Flow:
    slope = float(config.get("slope", 0.0))
    if slope == 0:
        return Flow(net.graph.add("Relu", [flow.value]), flow.shape)
    return Flow(net.graph.add("LeakyRelu", [flow.value], alpha=slope), flow.shape)


def _rectlinclip(net: Network, config: Mapping[str, Any], flow: Flow) -> Flow:
    raised = _rectlin(net, config, flow)
    top = net.graph.weight(np.array(config.get("xcut", _CLIP_AT), np.float32))
    return Flow(net.graph.add("Min", [raised.value, top]), flow.shape)


def _explin(net: Network, config: Mapping[str, Any], flow: Flow) -> Flow:
    alpha = float(config.get("alpha", 1.0))
    return Flow(net.graph.add("Elu", [flow.value], alpha=alpha), flow.shape)


def _softmax(net: Network, _config: Mapping[str, Any], flow: Flow) -> Flow:
    """Over all of a step's or example's features: neon's columns know no channels."""
    if len(flow.shape) == _SEQUENCE:
        return Flow(net.graph.add("Softmax", [flow.value], axis=1), flow.shape)
    flat = net.flat(flow)
    return net.reshaped(
        Flow(net.graph.add("Softmax", [flat.value], axis=1), flat.shape), flow.shape
    )


def _normalizer(net: Network, config: Mapping[str, Any], flow: Flow) -> Flow:
    mean = net.graph.weight(np.array(config.get("mean", 0.0), np.float32))
    divisor = net.graph.weight(np.array(config.get("divisor", 128.0), np.float32))
    centred = net.graph.add("Sub", [flow.value, mean])
    return Flow(net.graph.add("Div", [centred, divisor]), flow.shape)


def _dropout_binary(net: Network, layer: Layer, flow: Flow) -> Flow:
    keep = net.graph.weight(np.array(layer.config.get("keep", 0.5), np.float32))
    return Flow(net.graph.add("Mul", [flow.value, keep]), flow.shape)


def _merge_sum(net: Network, layer: Layer, flow: Flow) -> Flow:
    branches = [net.through(each, flow) for each in layer.layers]
    if len({branch.shape for branch in branches}) != 1:
        raise ValueError(f"branches of {[branch.shape for branch in branches]}")
    return Flow(net.graph.add("Sum", [each.value for each in branches]), branches[0].shape)


def _merge_broadcast(net: Network, layer: Layer, flow: Flow) -> Flow:
    branches = [net.through(each, flow) for each in layer.layers]
    how = layer.config["merge"]
    if how == "stack":
        branches = [net.flat(each) for each in branches]
    axis = {"depth": 0, "stack": 0, "recurrent": 1}[how]
    value = net.graph.add("Concat", [each.value for each in branches], axis=axis + 1)
    shape = list(branches[0].shape)
    shape[axis] = sum(each.shape[axis] for each in branches)
    return Flow(value, tuple(shape))


def _lookup(net: Network, layer: Layer, flow: Flow) -> Flow:
    """Word numbers to vectors: [N, T] → [N, E, T]."""
    weights = _floats(layer.params["W"])
    if weights.shape[0] != int(layer.config["vocab_size"]):  # neon before 1.5 kept it across
        weights = weights.T
    flow = net.flat(flow)
    words = net.graph.add("Cast", [flow.value], to=7)  # int64
    found = net.graph.add("Gather", [net.graph.weight(weights), words], axis=0)
    value = net.graph.add("Transpose", [found], perm=[0, 2, 1])
    return Flow(value, (weights.shape[1], flow.shape[0]))


def _recurrent_output(how: str) -> Callable[[Network, Layer, Flow], Flow]:
    def mapped(net: Network, _layer: Layer, flow: Flow) -> Flow:
        features, steps = _steps(flow)
        if how == "last":
            last = net.graph.weight(np.array(steps - 1, np.int64))
            return Flow(net.graph.add("Gather", [flow.value, last], axis=2), (features,))
        if how == "sum":
            axes = net.graph.numbers(2)
            return Flow(net.graph.add("ReduceSum", [flow.value, axes], keepdims=0), (features,))
        value = net.graph.add("ReduceMean", [flow.value], axes=[2], keepdims=0)
        return Flow(value, (features,))

    return mapped


def _recurrent(operator: str, gates: int) -> Callable[[Network, Layer, Flow], Flow]:
    """Neon stores inputs, recurrences and biases of all gates one below the other."""

    def mapped(net: Network, layer: Layer, flow: Flow) -> Flow:
        nin, steps = _steps(flow)
        nout = int(layer.config["output_size"])
        stored = np.ascontiguousarray(_floats(layer.params["W"]))
        _expect(stored, (nin + nout + 1, gates * nout))
        parts = (
            stored[:nin].reshape(gates, nout, nin),
            stored[nin:-1].reshape(gates, nout, nout),
            stored[-1].reshape(gates, nout),
        )
        inputs, recurrences, biases = (_in_onnx_order(operator, part) for part in parts)
        weights = [
            inputs.reshape(1, gates * nout, nin),
            recurrences.reshape(1, gates * nout, nout),
            np.concatenate([biases.reshape(1, -1), np.zeros((1, gates * nout), np.float32)], 1),
        ]
        turned = net.reshaped(flow, (nin, steps))
        first = net.graph.add("Transpose", [turned.value], perm=[2, 0, 1])  # [T, N, F]
        names = [net.graph.weight(weight) for weight in weights]
        value = net.graph.add(
            operator, [first, *names], hidden_size=nout, activations=_functions(operator, layer)
        )
        squeezed = net.graph.add("Squeeze", [value, net.graph.numbers(1)])
        return Flow(net.graph.add("Transpose", [squeezed], perm=[1, 2, 0]), (nout, steps))

    return mapped


def _in_onnx_order(operator: str, part: Array) -> Array:
    """Gates of neon: LSTM i f o g, GRU r z h; of ONNX: i o f c, and z r h.

    ONNX's update gate keeps the old state where neon's takes the new one, and
    1 - logistic(a) = logistic(-a).
    """
    if operator == "LSTM":
        return part[[0, 2, 1, 3]]
    if operator == "GRU":
        return np.stack([-part[1], part[0], part[2]])
    return part


def _functions(operator: str, layer: Layer) -> list[str]:
    state = _function(layer.config["activation"])
    if operator == "RNN":
        return [state]
    gate = _function(layer.config["gate_activation"])
    if operator == "GRU" and gate != "Sigmoid":
        raise InvalidModel("A GRU of neon is converted with logistic gates only.")
    return [gate, state, state] if operator == "LSTM" else [gate, state]


def _function(stored: Mapping[str, Any]) -> str:
    kind, config = _transform(stored)
    names = {"Tanh": "Tanh", "Logistic": "Sigmoid", "Rectlin": "Relu"}
    if kind not in names or config.get("slope"):
        raise InvalidModel(f"The neon transform {kind} has no counterpart inside a recurrence.")
    return names[kind]


def _steps(flow: Flow) -> tuple[int, int]:
    """Features and steps, as neon reads any shape: the last axis is time."""
    return (flow.shape[0], 1) if len(flow.shape) == 1 else (prod(flow.shape[:-1]), flow.shape[-1])


def _image(flow: Flow) -> Shape:
    if len(flow.shape) != _IMAGE:
        raise ValueError("an image (C, H, W) is needed")
    return flow.shape


def _sides(given: Any, names: Sequence[str]) -> tuple[int, ...]:
    """A window: one number for both sides, a tuple in order, or a dict by neon's letters."""
    if isinstance(given, Mapping):
        if int(given.get("T", 1)) != 1:
            raise ValueError("windows over three axes are not converted")
        return tuple(int(given[name]) for name in names)
    sides = (given,) * len(names) if isinstance(given, int) else tuple(int(n) for n in given)
    if len(sides) != len(names):
        raise ValueError(f"a window of {len(names)} numbers is needed")
    return sides


def _pair(given: Any, stem: str, default: int) -> list[int]:
    """Height's and width's number from one number or a dict, as {"str_h": 2, "str_w": 2}."""
    if isinstance(given, Mapping):
        return [int(given.get(f"{stem}_{axis}") or default) for axis in "hw"]
    return [default if given is None else int(given)] * 2


def _sizes(
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    *,
    is_ceiled: bool,
) -> list[int]:
    found = []
    for size, side, stride, pad in zip(sizes, window, strides, pads, strict=True):
        room = size + 2 * pad - side
        found.append((-(-room // stride) if is_ceiled else room // stride) + 1)
    return found


def _floats(value: Any) -> Array:
    return np.asarray(value, np.float32)


def _expect(array: Array, shape: Sequence[int]) -> None:
    if array.shape != tuple(shape):
        raise ValueError(f"weights of {list(array.shape)} where {list(shape)} are needed")


_TRANSFORMS: dict[str, Callable[[Network, Mapping[str, Any], Flow], Flow]] = {
    "Explin": _explin,
    "Identity": lambda _net, _config, flow: flow,
    "Logistic": _elementwise("Sigmoid"),
    "Normalizer": _normalizer,
    "Rectlin": _rectlin,
    "Rectlinclip": _rectlinclip,
    "Softmax": _softmax,
    "Tanh": _elementwise("Tanh"),
}
_LAYERS: dict[str, Callable[[Network, Layer, Flow], Flow]] = {
    "Activation": _activation,
    "BatchNorm": _batch_norm,
    "Bias": _bias,
    "BranchNode": _same,
    "Convolution": _convolution,
    "DataTransform": _activation,
    "Dropout": _same,
    "DropoutBinary": _dropout_binary,
    "GRU": _recurrent("GRU", 3),
    "LSTM": _recurrent("LSTM", 4),
    "Linear": _linear,
    "LookupTable": _lookup,
    "MergeBroadcast": _merge_broadcast,
    "MergeSum": _merge_sum,
    "Pooling": _pooling,
    "Recurrent": _recurrent("RNN", 1),
    "RecurrentLast": _recurrent_output("last"),
    "RecurrentMean": _recurrent_output("mean"),
    "RecurrentSum": _recurrent_output("sum"),
    "Sequential": _sequential,
    "SkipNode": _same,
    "Tree": _trunk,
}
