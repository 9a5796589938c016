"""Models as neon serialises them, and what neon computes with them, in numpy alone.

`file` writes the structure of `Model.save_params`; `answer` computes each layer by its definition
in neon's documentation, on neon's own layout: an example is a column, steps lie side by side.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Described = dict[str, Any]
CHANCE = np.random.default_rng(7)


def file(
    path: Path,
    layers: list[Described],
    shape: int | tuple[int, ...],
    protocol: int = 2,
    **more: Any,
) -> Path:
    """Write a model of `layers` for examples of `shape`."""
    stored = {
        "neon_version": "2.6.0",
        "backend": {"type": "NervanaCPU", "compat_mode": "neon", "rng_seed": None},
        "model": container("Sequential", layers),
        "epoch_index": 3,
        "train_input_shape": shape,
    } | more
    path.write_bytes(pickle.dumps(stored, protocol))
    return path


def container(kind: str, layers: list[Described], **config: Any) -> Described:
    return {
        "type": f"neon.layers.container.{kind}",
        "config": {"name": kind, **config, "layers": layers},
        "container": True,
    }


def layer(kind: str, params: Any = None, module: str = "layer", **config: Any) -> Described:
    found: Described = {"type": f"neon.layers.{module}.{kind}", "config": {"name": kind, **config}}
    if params is not None:
        found |= {"params": params, "states": [np.zeros((2, 2), np.float32)]}
    return found


def transform(kind: str, **config: Any) -> Described:
    return {"type": f"neon.transforms.activation.{kind}", "config": config}


def activation(kind: str, **config: Any) -> Described:
    return layer("Activation", transform=transform(kind, **config))


def random(*shape: int) -> Array:
    return CHANCE.standard_normal(shape).astype(np.float32) / 2


def linear(nout: int, nin: int) -> Described:
    return layer("Linear", {"W": random(nout, nin)}, nout=nout)


def bias(size: int) -> Described:
    return layer("Bias", {"W": random(size, 1)})


def convolution(channels: int, window: tuple[int, int, int], **config: Any) -> Described:
    height, width, maps = window
    weights = random(channels * height * width, maps)
    return layer("Convolution", {"W": weights}, fshape=window, **config)


def batch_norm(size: int, **config: Any) -> Described:
    params = {name: random(size, 1) for name in ("gamma", "beta", "gmean")}
    return layer("BatchNorm", params | {"gvar": np.abs(random(size, 1)) + 0.5}, **config)


def recurrent(kind: str, nin: int, nout: int, gates: int, **config: Any) -> Described:
    weights = random(nin + nout + 1, gates * nout)
    return layer(
        kind,
        {"W": weights},
        "recurrent",
        output_size=nout,
        activation=transform("Tanh"),
        gate_activation=transform("Logistic"),
        reset_cells=True,
        **config,
    )


def answer(layers: list[Described], example: Array) -> Array:
    """What neon answers for one example."""
    x = example.astype(np.float64)
    for each in layers:
        x = _through(each, x)
    return x


def _through(described: Described, x: Array) -> Array:
    kind = described["type"].rpartition(".")[2]
    if kind in _RECURRENT:
        weights = described["params"]["W"]
        columns = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(-1, 1)
        return _RECURRENT[kind](described["config"], weights.astype(np.float64), columns)
    return _PLAIN[kind](described, x)


def _linear(described: Described, x: Array) -> Array:
    columns = x if x.ndim == 2 else x.reshape(-1)
    return np.asarray(described["params"]["W"].astype(np.float64) @ columns)


def _bias(described: Described, x: Array) -> Array:
    return np.asarray(x + described["params"]["W"].reshape(-1, *[1] * (x.ndim - 1)))


def _activate(described: Described, x: Array) -> Array:
    stored = described["config"]["transform"]
    kind, config = stored["type"].rpartition(".")[2], stored["config"]
    if kind == "Softmax":
        columns = x if x.ndim == 2 else x.reshape(-1, 1)
        raised = np.exp(columns - columns.max(axis=0))
        return np.asarray((raised / raised.sum(axis=0)).reshape(x.shape))
    return _FUNCTIONS[kind](x, config)


_FUNCTIONS: dict[str, Callable[[Array, Mapping[str, Any]], Array]] = {
    "Rectlin": lambda x, c: np.maximum(x, 0) + c.get("slope", 0) * np.minimum(x, 0),
    "Rectlinclip": lambda x, c: np.minimum(
        np.maximum(x, 0) + c.get("slope", 0) * np.minimum(x, 0), c.get("xcut", 20)
    ),
    "Explin": lambda x, c: np.where(x > 0, x, c.get("alpha", 1.0) * (np.exp(x) - 1)),
    "Logistic": lambda x, _: 1 / (1 + np.exp(-x)),
    "Tanh": lambda x, _: np.tanh(x),
    "Identity": lambda x, _: x,
    "Normalizer": lambda x, c: (x - c.get("mean", 0)) / c.get("divisor", 128),
}


def _both(given: Any, stem: str, default: int) -> tuple[int, int]:
    if isinstance(given, dict):
        return given.get(f"{stem}_h") or default, given.get(f"{stem}_w") or default
    return (default, default) if given is None else (given, given)


def _convolve(described: Described, x: Array) -> Array:
    config = described["config"]
    height, width, maps = config["fshape"]
    (down, right) = _both(config.get("strides"), "str", 1)
    (top, left) = _both(config.get("padding"), "pad", 0)
    (gap_h, gap_w) = _both(config.get("dilation"), "dil", 1)
    kernel = described["params"]["W"].astype(np.float64).reshape(x.shape[0], height, width, maps)
    padded = np.pad(x, ((0, 0), (top, top), (left, left)))
    rows = (padded.shape[1] - (height - 1) * gap_h - 1) // down + 1
    columns = (padded.shape[2] - (width - 1) * gap_w - 1) // right + 1
    found = np.zeros((maps, rows, columns))
    for row in range(rows):
        for column in range(columns):
            seen = padded[
                :,
                row * down : row * down + (height - 1) * gap_h + 1 : gap_h,
                column * right : column * right + (width - 1) * gap_w + 1 : gap_w,
            ]
            found[:, row, column] = np.einsum("crs,crsk->k", seen, kernel)
    return found


def _pool(described: Described, x: Array) -> Array:
    """neon leaves padding out: the maximum and the mean are of the pixels that exist."""
    config = described["config"]
    given = config["fshape"]
    height, width = (
        x.shape[1:] if given == "all" else (given if isinstance(given, tuple) else (given, given))
    )
    (down, right) = _both(config.get("strides"), "str", 0)
    down, right = down or height, right or width
    (top, left) = _both(config.get("padding"), "pad", 0)
    reduce = np.mean if config.get("op") == "avg" else np.max
    rows = (x.shape[1] + 2 * top - height) // down + 1
    columns = (x.shape[2] + 2 * left - width) // right + 1
    found = np.zeros((x.shape[0], rows, columns))
    for row in range(rows):
        for column in range(columns):
            y, z = row * down - top, column * right - left
            seen = x[:, max(y, 0) : y + height, max(z, 0) : z + width]
            found[:, row, column] = reduce(seen, axis=(1, 2))
    return found


def _normalise(described: Described, x: Array) -> Array:
    params, eps = described["params"], described["config"].get("eps", 1e-3)
    if isinstance(params, list):
        params = dict(zip(("beta", "gamma", "gmean", "gvar"), params, strict=True))
    gamma, beta, mean, variance = (
        params[name].astype(np.float64).reshape(-1, *[1] * (x.ndim - 1))
        for name in ("gamma", "beta", "gmean", "gvar")
    )
    return np.asarray((x - mean) / np.sqrt(variance + eps) * gamma + beta)


def _merge(described: Described, x: Array) -> Array:
    branches = [answer(each["config"]["layers"], x) for each in described["config"]["layers"]]
    if described["type"].endswith("MergeSum"):
        return np.asarray(sum(branches))
    how = described["config"]["merge"]
    if how == "stack":
        return np.concatenate([each.reshape(-1) for each in branches])
    return np.concatenate(branches, axis={"depth": 0, "recurrent": 1}[how])


def _look_up(described: Described, x: Array) -> Array:
    return np.asarray(described["params"]["W"][x.astype(int).reshape(-1)].T)


_PLAIN: dict[str, Callable[[Described, Array], Array]] = {
    "Linear": _linear,
    "Bias": _bias,
    "Activation": _activate,
    "DataTransform": _activate,
    "Convolution": _convolve,
    "Pooling": _pool,
    "BatchNorm": _normalise,
    "MergeSum": _merge,
    "MergeBroadcast": _merge,
    "LookupTable": _look_up,
    "Dropout": lambda _, x: x,
    "DropoutBinary": lambda d, x: x * d["config"]["keep"],
    "SkipNode": lambda _, x: x,
    "BranchNode": lambda _, x: x,
    "Sequential": lambda d, x: answer(d["config"]["layers"], x),
    "Tree": lambda d, x: answer(d["config"]["layers"][0]["config"]["layers"], x),
    "RecurrentLast": lambda _, x: x[:, -1],
    "RecurrentSum": lambda _, x: x.sum(axis=1),
    "RecurrentMean": lambda _, x: x.mean(axis=1),
}


def _parts(weights: Array, nin: int, gates: int) -> tuple[Array, Array, Array]:
    """neon lays out inputs, recurrences and a row of biases, each seen as (gates · out, in)."""
    rows = weights.shape[1]
    recurrences = weights[nin:-1]
    return (
        weights[:nin].reshape(rows, nin),
        recurrences.reshape(rows, rows // gates),
        weights[-1:].reshape(rows, 1),
    )


def _logistic(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _lstm(config: Mapping[str, Any], weights: Array, x: Array) -> Array:
    n = config["output_size"]
    inputs, recurrences, biases = _parts(weights, x.shape[0], 4)
    h = c = np.zeros((n, 1))
    found = []
    for step in range(x.shape[1]):
        ifog = inputs @ x[:, step : step + 1] + recurrences @ h + biases
        i, f, o = (_logistic(ifog[k * n : (k + 1) * n]) for k in range(3))
        g = np.tanh(ifog[3 * n :])
        c = f * c + i * g
        h = o * np.tanh(c)
        found.append(h[:, 0])
    return np.stack(found, axis=1)


def _gru(config: Mapping[str, Any], weights: Array, x: Array) -> Array:
    n = config["output_size"]
    inputs, recurrences, biases = _parts(weights, x.shape[0], 3)
    h = np.zeros((n, 1))
    found = []
    for step in range(x.shape[1]):
        from_input = inputs @ x[:, step : step + 1]
        rz = _logistic(from_input[: 2 * n] + recurrences[: 2 * n] @ h + biases[: 2 * n])
        r, z = rz[:n], rz[n:]
        candidate = np.tanh(recurrences[2 * n :] @ (r * h) + from_input[2 * n :] + biases[2 * n :])
        h = (1 - z) * h + z * candidate
        found.append(h[:, 0])
    return np.stack(found, axis=1)


def _rnn(config: Mapping[str, Any], weights: Array, x: Array) -> Array:
    inputs, recurrences, biases = _parts(weights, x.shape[0], 1)
    h = np.zeros((config["output_size"], 1))
    found = []
    for step in range(x.shape[1]):
        h = np.tanh(recurrences @ h + inputs @ x[:, step : step + 1] + biases)
        found.append(h[:, 0])
    return np.stack(found, axis=1)


_RECURRENT: dict[str, Callable[[Mapping[str, Any], Array, Array], Array]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "Recurrent": _rnn,
}
