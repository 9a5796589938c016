"""Writes estimators of scikit-learn, XGBoost and LightGBM as ONNX, in the user's own process.

This is the one place that opens pickles: the user runs it where the model was trained, on a file of
their own. No part of the platform imports it.
"""

from __future__ import annotations

import csv
import importlib
import json
import pickle
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hookline.convert.cases import Array, largest_difference
from hookline.core.errors import HooklineError, InvalidInput, InvalidModel, NotFound
from hookline.core.formats import kind_of

_OPSETS = {"": 17, "ai.onnx.ml": 3}
_BOOSTERS_OPSET = 15  # the highest that onnxmltools knows
_ROWS, _SEED = 100, 2016
_MAX_WHY = 500  # characters
_MISSING = "Install it beside the model: pip install {}."


@dataclass(frozen=True, slots=True)
class Exported:
    """An ONNX file's bytes, what it was made from, and how far its answers are off."""

    content: bytes
    source: str
    max_difference: float
    cases: int


def export(place: str, sample: Path | None = None) -> Exported:
    """The estimator at `place`, a file or module:name, as ONNX, compared with itself.

    `sample`: rows of input, an .npy or a .csv with a header; numbers at random without it. Raise
    InvalidModel or InvalidInput, saying what to do.
    """
    model = _loaded(place)
    rows = _Rows.read(sample) if sample else _Rows.random(_width(model))
    found = _converted(model, rows)
    difference = _difference(model, found, rows)
    source = _title(model)
    notes = {"hookline_source": source, "hookline_max_difference": repr(difference)}
    notes |= {"hookline_cases": str(rows.count)}
    classes = getattr(model, "classes_", None)
    if classes is not None and np.ndim(classes) == 1:
        notes["labels"] = json.dumps([str(each) for each in classes])
    for key, value in notes.items():
        found.metadata_props.add(key=key, value=value)
    return Exported(found.SerializeToString(), source, difference, rows.count)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Input by column; one column called X of all numbers where they have no names."""

    columns: dict[str, Array]
    is_named: bool

    @classmethod
    def random(cls, width: int) -> _Rows:
        chance = np.random.default_rng(_SEED)
        return cls({"X": chance.standard_normal((_ROWS, width)).astype(np.float32)}, is_named=False)

    @classmethod
    def read(cls, path: Path) -> _Rows:
        if not path.is_file():
            raise NotFound(f"There is no file {path}.", hint="Check --sample.")
        try:
            return cls._numbers(path) if path.suffix == ".npy" else cls._table(path)
        except (OSError, ValueError, csv.Error) as error:
            raise InvalidInput(
                f"{path} cannot be read as rows.",
                why=_reason(error),
                hint="Give numbers in an .npy, or a .csv whose rows are as long as its header.",
            ) from error

    @classmethod
    def _numbers(cls, path: Path) -> _Rows:
        rows = np.load(path, allow_pickle=False).astype(np.float32)
        return cls({"X": np.atleast_2d(rows)}, is_named=False)

    @classmethod
    def _table(cls, path: Path) -> _Rows:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = list(csv.reader(file)) or [[]]
        if not lines:
            raise InvalidInput(f"{path} has no row below its header.", hint="Give some.")
        texts = zip(*lines, strict=True)
        return cls({n: _column(t) for n, t in zip(header, texts, strict=True)}, is_named=True)

    @property
    def count(self) -> int:
        return len(next(iter(self.columns.values())))

    def for_estimator(self) -> Any:
        """What predict takes: an array, or a table with the columns' names."""
        if not self.is_named:
            return self.columns["X"]
        pandas = _package("pandas")
        return pandas.DataFrame({name: each.ravel() for name, each in self.columns.items()})


def _column(texts: Sequence[str]) -> Array:
    try:
        return np.array([[float(text)] for text in texts], np.float32)
    except ValueError:
        return np.array([[text] for text in texts], object)


def _loaded(place: str) -> Any:
    """What is there. Its loading runs code of the user's, which may raise anything."""
    try:
        return _of_module(place) if _names_a_module(place) else _of_file(Path(place))
    except HooklineError:
        raise
    except Exception as error:
        raise InvalidModel(
            f"{place} cannot be loaded.",
            why=_reason(error),
            hint="Give what joblib or pickle wrote, a booster's own file, or module:name, in a "
            "Python that has the packages of the model.",
        ) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_MAX_WHY]}"


def _names_a_module(place: str) -> bool:
    return ":" in place and not Path(place).exists()


def _of_module(place: str) -> Any:
    module, _, name = place.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    return getattr(importlib.import_module(module), name)


def _of_file(path: Path) -> Any:
    if not path.is_file():
        raise NotFound(f"There is no file {path}.", hint="Give a file, or module:name.")
    with path.open("rb") as file:
        kind = kind_of(file)
    if kind == "lightgbm":
        return _package("lightgbm").Booster(model_file=str(path))
    if kind == "xgboost":
        booster = _package("xgboost").Booster()
        booster.load_model(str(path))
        return booster
    return _unpickled(path)


def _unpickled(path: Path) -> Any:
    """The user's own file in the user's own process: joblib's, or a plain pickle."""
    try:
        joblib = importlib.import_module("joblib")
    except ImportError:
        with path.open("rb") as file:
            return pickle.load(file)  # noqa: S301 - what this command is for, and says
    return joblib.load(path)


def _package(name: str, wanted: str = "") -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = str(getattr(error, "name", "") or name).partition(".")[0]
        raise InvalidModel(
            f"This Python has no {missing}.", hint=_MISSING.format(wanted or missing)
        ) from error


def _title(model: Any) -> str:
    package = type(model).__module__.partition(".")[0]
    names = {"sklearn": "scikit-learn", "xgboost": "XGBoost", "lightgbm": "LightGBM"}
    return f"{names.get(package, package)} {type(model).__name__}"


def _width(model: Any) -> int:
    for name in ("n_features_in_", "num_feature", "num_features"):
        found = getattr(model, name, None)
        if found is not None:
            return int(found() if callable(found) else found)
    raise InvalidInput(
        "The model does not say how many columns it takes.",
        hint="Give --sample with some rows, an .npy or a .csv with a header.",
    )


def _is_booster(model: Any) -> bool:
    return type(model).__name__ == "Booster"


def _converted(model: Any, rows: _Rows) -> Any:
    """The ONNX model (onnx.ModelProto)."""
    types = _package("skl2onnx.common.data_types", "skl2onnx")
    declared = []
    for name, values in rows.columns.items():
        is_text = values.dtype == object
        kind = types.StringTensorType if is_text else types.FloatTensorType
        declared.append((name, kind([None, values.shape[1]])))
    try:
        return _as_onnx(model, declared)
    except (RuntimeError, ValueError, NotImplementedError, TypeError, KeyError) as error:
        raise InvalidModel(
            f"{_title(model)} cannot be written as ONNX.",
            why=f"{' '.join(str(error).split())[:_MAX_WHY]}",
            hint="Columns of text or with names need --sample with a .csv. Steps that the "
            "converter does not know must be left out and done in a hook.",
        ) from error


def _as_onnx(model: Any, declared: list[tuple[str, Any]]) -> Any:
    if _is_booster(model):
        tools = _package("onnxmltools")
        own = importlib.import_module("onnxmltools.convert.common.data_types")
        declared = [(name, own.FloatTensorType(kind.shape)) for name, kind in declared]
        convert = getattr(tools, f"convert_{type(model).__module__.partition('.')[0]}")
        return convert(model, initial_types=declared, target_opset=_BOOSTERS_OPSET)
    skl2onnx = _package("skl2onnx")
    _know_boosters(skl2onnx)
    is_classifier = hasattr(model, "predict_proba")
    options = {id(model): {"zipmap": False}} if is_classifier else None
    return skl2onnx.convert_sklearn(
        model, initial_types=declared, options=options, target_opset=_OPSETS
    )


def _know_boosters(skl2onnx: Any) -> None:
    """Teach skl2onnx the estimators of those packages that are here."""
    shapes = importlib.import_module("skl2onnx.common.shape_calculator")
    classes, numbers = (
        shapes.calculate_linear_classifier_output_shapes,
        shapes.calculate_linear_regressor_output_shapes,
    )
    known = (
        ("xgboost", "XGBClassifier", "XGBoostXGBClassifier", classes),
        ("xgboost", "XGBRegressor", "XGBoostXGBRegressor", numbers),
        ("lightgbm", "LGBMClassifier", "LightGbmLGBMClassifier", classes),
        ("lightgbm", "LGBMRegressor", "LightGbmLGBMRegressor", numbers),
    )
    converters = {
        "xgboost": ("onnxmltools.convert.xgboost.operator_converters.XGBoost", "convert_xgboost"),
        "lightgbm": (
            "onnxmltools.convert.lightgbm.operator_converters.LightGbm",
            "convert_lightgbm",
        ),
    }
    for package, name, alias, shape in known:
        if package not in sys.modules:  # a model of it would have loaded it
            continue
        where, function = converters[package]
        converter = getattr(_package(where, "onnxmltools"), function)
        is_classifier = name.endswith("Classifier")
        options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
        skl2onnx.update_registered_converter(
            getattr(sys.modules[package], name),
            alias,
            shape,
            converter,
            options=options if is_classifier else None,
        )


def _difference(model: Any, found: Any, rows: _Rows) -> float:
    from hookline.runtime.backends.onnx import OnnxBackend  # noqa: PLC0415 - only where it is asked

    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(found.SerializeToString())
        file.flush()
        answers = OnnxBackend.load(file.name, threads=0, gpus=0).run(rows.columns)
    wanted = _own_answer(model, rows)
    numbers = [each for each in answers if np.ndim(each) and each.dtype.kind == "f"] or answers
    other = np.asarray(numbers[-1], np.float64)
    if wanted.ndim < other.ndim and other.shape[-1] == 2:  # noqa: PLR2004 - both classes for one
        other = other[:, 1]
    return largest_difference(wanted, other.reshape(wanted.shape))


def _own_answer(model: Any, rows: _Rows) -> Array:
    given = rows.for_estimator()
    if _is_booster(model):
        package = sys.modules[type(model).__module__.partition(".")[0]]
        given = package.DMatrix(given) if hasattr(package, "DMatrix") else given
    ask = getattr(model, "predict_proba", model.predict)
    return np.asarray(ask(given), np.float64)
