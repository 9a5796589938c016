"""What each operator of ONNX is in PyTorch, by ONNX's own specification (onnx.ai/onnx/operators).

A function takes the node and its inputs as tensors. It runs in an environment that holds torch and
onnx, while the model is traced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from onnx import helper, numpy_helper

from hookline.core.errors import Unsupported

_OPSET = 13  # from it on Softmax goes over one axis
_F = torch.nn.functional
_CONVOLUTIONS = {1: _F.conv1d, 2: _F.conv2d, 3: _F.conv3d}
_TRANSPOSED = {1: _F.conv_transpose1d, 2: _F.conv_transpose2d, 3: _F.conv_transpose3d}
_MAX_POOLS = {1: _F.max_pool1d, 2: _F.max_pool2d, 3: _F.max_pool3d}
_MEAN_POOLS = {1: _F.avg_pool1d, 2: _F.avg_pool2d, 3: _F.avg_pool3d}


class Node:
    """One node as its function sees it: names, attributes, and which inputs are known."""

    def __init__(self, proto: Any, known: dict[str, Any], opset: int) -> None:
        self.operator, self.opset = proto.op_type, opset
        self.inputs, self.outputs = list(proto.input), list(proto.output)
        self._attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
        self._known = known

    def get(self, name: str, default: Any = None) -> Any:
        found = self._attributes.get(name, default)
        return found.decode() if isinstance(found, bytes) else found

    def numbers(self, at: int, name: str = "") -> list[Any] | None:
        """The values of input `at`, or of the attribute `name` in older opsets; None for none."""
        if name in self._attributes:
            return list(self._attributes[name])
        if at >= len(self.inputs) or not self.inputs[at]:
            return None
        if self.inputs[at] not in self._known:
            raise self.refusal("takes a value that is computed")
        values: list[Any] = np.atleast_1d(self._known[self.inputs[at]]).tolist()
        return values

    def is_known(self, at: int) -> bool:
        return self.inputs[at] in self._known

    def refusal(self, what: str) -> Unsupported:
        return Unsupported(
            f"The operator {self.operator} of the model is not made PyTorch here.",
            why=f"It {what}.",
            hint="Import the model as TorchScript from where it was trained, and compile that.",
        )


def _dtype(number: int) -> Any:
    return torch.from_numpy(np.zeros(1, helper.tensor_dtype_to_np_dtype(number))).dtype


def _padded(node: Node, x: Any, fill: float = 0.0) -> tuple[Any, list[int]]:
    """The input with what a pool or convolution cannot pad itself, and what it can, both sides."""
    dims = x.dim() - 2
    pads, how = list(node.get("pads") or [0] * 2 * dims), node.get("auto_pad", "NOTSET")
    if how not in ("NOTSET", "VALID"):
        raise node.refusal(f"has the padding {how}, which depends on the size of the input")
    before, after = pads[:dims], pads[dims:]
    if before == after:
        return x, before
    sides = [each for axis in reversed(range(dims)) for each in (before[axis], after[axis])]
    return _F.pad(x, sides, value=fill), [0] * dims


def _conv(node: Node, x: Any, weight: Any, bias: Any = None) -> Any:
    x, padding = _padded(node, x)
    dims = x.dim() - 2
    return _CONVOLUTIONS[dims](
        x,
        weight,
        bias,
        stride=list(node.get("strides") or [1] * dims),
        padding=padding,
        dilation=list(node.get("dilations") or [1] * dims),
        groups=node.get("group", 1),
    )


def _conv_transpose(node: Node, x: Any, weight: Any, bias: Any = None) -> Any:
    dims = x.dim() - 2
    pads = list(node.get("pads") or [0] * 2 * dims)
    if pads[:dims] != pads[dims:] or node.get("output_shape") or node.get("auto_pad"):
        raise node.refusal("has a padding that differs between the sides, or an output_shape")
    return _TRANSPOSED[dims](
        x,
        weight,
        bias,
        stride=list(node.get("strides") or [1] * dims),
        padding=pads[:dims],
        output_padding=list(node.get("output_padding") or [0] * dims),
        groups=node.get("group", 1),
        dilation=list(node.get("dilations") or [1] * dims),
    )


def _max_pool(node: Node, x: Any) -> Any:
    if len(node.outputs) > 1:
        raise node.refusal("also answers where the largest values were")
    x, padding = _padded(node, x, fill=float("-inf"))
    dims = x.dim() - 2
    return _MAX_POOLS[dims](
        x,
        list(node.get("kernel_shape")),
        stride=list(node.get("strides") or [1] * dims),
        padding=padding,
        dilation=list(node.get("dilations") or [1] * dims),
        ceil_mode=bool(node.get("ceil_mode", 0)),
    )


def _average_pool(node: Node, x: Any) -> Any:
    counts_pad = bool(node.get("count_include_pad", 0))
    dims = x.dim() - 2
    pads = list(node.get("pads") or [0] * 2 * dims)
    if pads[:dims] != pads[dims:] and not counts_pad:
        raise node.refusal("has a padding that differs between the sides")
    if any(size != 1 for size in node.get("dilations") or []):
        raise node.refusal("has dilations")
    x, padding = _padded(node, x)
    return _MEAN_POOLS[dims](
        x,
        list(node.get("kernel_shape")),
        stride=list(node.get("strides") or [1] * dims),
        padding=padding,
        ceil_mode=bool(node.get("ceil_mode", 0)),
        count_include_pad=counts_pad,
    )


def _batch_norm(node: Node, x: Any, scale: Any, bias: Any, mean: Any, variance: Any) -> Any:
    return _F.batch_norm(x, mean, variance, scale, bias, eps=node.get("epsilon", 1e-5))


def _instance_norm(node: Node, x: Any, scale: Any, bias: Any) -> Any:
    return _F.instance_norm(x, weight=scale, bias=bias, eps=node.get("epsilon", 1e-5))


def _layer_norm(node: Node, x: Any, scale: Any, bias: Any = None) -> Any:
    if len(node.outputs) > 1:
        raise node.refusal("also answers mean and deviation")
    axes = list(range(node.get("axis", -1) % x.dim(), x.dim()))
    mean = x.mean(axes, keepdim=True)
    variance = ((x - mean) ** 2).mean(axes, keepdim=True)
    found = (x - mean) / torch.sqrt(variance + node.get("epsilon", 1e-5)) * scale
    return found if bias is None else found + bias


def _gemm(node: Node, a: Any, b: Any, c: Any = None) -> Any:
    a = a.transpose(0, 1) if node.get("transA", 0) else a
    b = b.transpose(0, 1) if node.get("transB", 0) else b
    found = node.get("alpha", 1.0) * torch.matmul(a, b)
    return found if c is None else found + node.get("beta", 1.0) * c


def _clip(node: Node, x: Any, low: Any = None, high: Any = None) -> Any:
    low = node.get("min", low)
    high = node.get("max", high)
    if low is not None:
        x = torch.maximum(x, torch.as_tensor(low, dtype=x.dtype))
    return x if high is None else torch.minimum(x, torch.as_tensor(high, dtype=x.dtype))


def _softmax(function: Any) -> Callable[..., Any]:
    def found(node: Node, x: Any) -> Any:
        is_old = node.opset < _OPSET
        axis = node.get("axis", 1 if is_old else -1) % x.dim()
        if is_old and axis != x.dim() - 1:
            raise node.refusal(f"is of opset {node.opset}, where it goes over several axes")
        return function(x, axis)

    return found


def _flatten(node: Node, x: Any) -> Any:
    axis = node.get("axis", 1) % (x.dim() + 1)
    if axis == 0:
        return x.reshape(1, -1)
    return torch.flatten(x, axis) if axis == 1 else x.flatten(axis).flatten(0, axis - 1)


def _reshape(node: Node, x: Any, shape: Any) -> Any:
    if not node.is_known(1):
        return x.reshape(tuple(shape.unbind(0)))
    wanted = node.numbers(1) or []
    keeps = not node.get("allowzero", 0)
    return x.reshape([x.shape[i] if size == 0 and keeps else size for i, size in enumerate(wanted)])


def _expand(node: Node, x: Any, shape: Any) -> Any:
    if not node.is_known(1):
        return x * torch.ones(tuple(shape.unbind(0)), dtype=x.dtype)
    return torch.broadcast_tensors(x, x.new_ones(node.numbers(1) or []))[0]


def _squeeze(node: Node, x: Any, *_: Any) -> Any:
    axes = node.numbers(1, "axes")
    if axes is None:
        return x.squeeze()
    for axis in sorted((each % x.dim() for each in axes), reverse=True):
        x = x.squeeze(axis)
    return x


def _unsqueeze(node: Node, x: Any, *_: Any) -> Any:
    axes = node.numbers(1, "axes") or []
    for axis in sorted(each % (x.dim() + len(axes)) for each in axes):
        x = x.unsqueeze(axis)
    return x


def _gather(node: Node, x: Any, index: Any) -> Any:
    axis = node.get("axis", 0) % x.dim()
    flat = index.reshape(-1).to(torch.int64)
    flat = torch.where(flat < 0, flat + x.shape[axis], flat)
    found = x.index_select(axis, flat)
    if index.dim() == 1:
        return found
    return found.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


def _slice(node: Node, x: Any, *_: Any) -> Any:
    starts, ends = node.numbers(1, "starts") or [], node.numbers(2, "ends") or []
    axes = node.numbers(3, "axes") or list(range(len(starts)))
    steps = node.numbers(4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 1:
            raise node.refusal("goes backwards")
        index = [slice(None)] * (axis % x.dim()) + [slice(start, end, step)]
        x = x[tuple(index)]
    return x


def _split(node: Node, x: Any, *_: Any) -> Any:
    sizes = node.numbers(1, "split")
    axis = node.get("axis", 0)
    if sizes is None:
        return tuple(x.chunk(len(node.outputs), axis))
    return tuple(x.split(sizes, axis))


def _pad(node: Node, x: Any, *rest: Any) -> Any:
    pads = node.numbers(1, "pads") or []
    if node.get("mode", "constant") != "constant" or len(rest) > 2:  # noqa: PLR2004 - pads, value
        raise node.refusal("pads otherwise than with one value on all axes")
    filled = node.numbers(2)
    value = filled[0] if filled else node.get("value", 0.0)
    sides = [each for i in reversed(range(x.dim())) for each in (pads[i], pads[x.dim() + i])]
    return _F.pad(x, sides, value=value)


def _reduced(function: Callable[..., Any]) -> Callable[..., Any]:
    def found(node: Node, x: Any, *_: Any) -> Any:
        axes = node.numbers(1, "axes")
        if not axes and node.get("noop_with_empty_axes", 0):
            return x
        return function(x, axes or list(range(x.dim())), keepdim=bool(node.get("keepdims", 1)))

    return found


def _arg_max(node: Node, x: Any) -> Any:
    if node.get("select_last_index", 0):
        raise node.refusal("takes the last of equal values")
    return x.argmax(node.get("axis", 0), keepdim=bool(node.get("keepdims", 1)))


def _constant_of_shape(node: Node, shape: Any) -> Any:
    value = node.get("value")
    filled = torch.zeros(1) if value is None else torch.from_numpy(numpy_helper.to_array(value))
    sizes = node.numbers(0) if node.is_known(0) else tuple(shape.unbind(0))
    return filled * torch.ones(sizes, dtype=filled.dtype)


def _shape(node: Node, x: Any) -> Any:
    return torch._shape_as_tensor(x)[node.get("start", 0) : node.get("end")]  # noqa: SLF001 - traced


def _div(_: Node, a: Any, b: Any) -> Any:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _prelu(_: Node, x: Any, slope: Any) -> Any:
    return torch.where(x < 0, slope * x, x)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _, *given: function(*given)


def _over_all(function: Callable[..., Any]) -> Callable[..., Any]:
    def found(_: Node, first: Any, *rest: Any) -> Any:
        for each in rest:
            first = function(first, each)
        return first

    return found


def _spatial(x: Any) -> list[int]:
    return list(range(2, x.dim()))


OPERATORS: dict[str, Callable[..., Any]] = {
    "Abs": _plain(torch.abs),
    "Add": _plain(torch.add),
    "And": _plain(torch.logical_and),
    "ArgMax": _arg_max,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": lambda node, x: x.to(_dtype(node.get("to"))),
    "Ceil": _plain(torch.ceil),
    "Clip": _clip,
    "Concat": lambda node, *given: torch.cat(given, node.get("axis")),
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Cos": _plain(torch.cos),
    "Div": _div,
    "Dropout": _plain(lambda x, *_: x),
    "Elu": lambda node, x: _F.elu(x, node.get("alpha", 1.0)),
    "Equal": _plain(torch.eq),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _plain(torch.floor),
    "Gather": _gather,
    "Gelu": lambda node, x: _F.gelu(x, approximate=node.get("approximate", "none")),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda _, x: x.mean(_spatial(x), keepdim=True),
    "GlobalMaxPool": lambda _, x: x.amax(_spatial(x), keepdim=True),
    "Greater": _plain(torch.gt),
    "GreaterOrEqual": _plain(torch.ge),
    "HardSigmoid": lambda n, x: (n.get("alpha", 0.2) * x + n.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": _plain(_F.hardswish),
    "Identity": _plain(lambda x: x),
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda node, x: _F.leaky_relu(x, node.get("alpha", 0.01)),
    "Less": _plain(torch.lt),
    "LessOrEqual": _plain(torch.le),
    "Log": _plain(torch.log),
    "LogSoftmax": _softmax(torch.log_softmax),
    "MatMul": _plain(torch.matmul),
    "Max": _over_all(torch.maximum),
    "MaxPool": _max_pool,
    "Mean": lambda node, *given: _over_all(torch.add)(node, *given) / len(given),
    "Min": _over_all(torch.minimum),
    "Mul": _plain(torch.mul),
    "Neg": _plain(torch.neg),
    "Not": _plain(torch.logical_not),
    "Or": _plain(torch.logical_or),
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": lambda _, x, y: torch.pow(x, y).to(x.dtype),
    "Reciprocal": _plain(torch.reciprocal),
    "ReduceL2": _reduced(lambda x, axes, keepdim: (x * x).sum(axes, keepdim=keepdim).sqrt()),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "ReduceMin": _reduced(torch.amin),
    "ReduceSum": _reduced(torch.sum),
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Round": _plain(torch.round),
    "Selu": lambda n, x: (
        n.get("gamma", 1.05070102) * torch.where(x > 0, x, n.get("alpha", 1.67326319) * x.expm1())
    ),
    "Shape": _shape,
    "Sigmoid": _plain(torch.sigmoid),
    "Sign": _plain(torch.sign),
    "Sin": _plain(torch.sin),
    "Slice": _slice,
    "Softmax": _softmax(torch.softmax),
    "Softplus": _plain(lambda x: torch.logaddexp(x, torch.zeros_like(x))),
    "Split": _split,
    "Sqrt": _plain(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Sum": _over_all(torch.add),
    "Tanh": _plain(torch.tanh),
    "Tile": lambda node, x, _: x.repeat(node.numbers(1)),
    "Transpose": lambda n, x: x.permute(n.get("perm") or list(reversed(range(x.dim())))),
    "Unsqueeze": _unsqueeze,
    "Where": _plain(torch.where),
}
