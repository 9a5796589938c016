"""Make what callers and hooks give fit what a model takes: the shape, the layout, the dtype.

Values are never changed quietly: a cast to whole numbers must be lossless, a cast to smaller
floats may round but not overflow, and text is never read as a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np

from hookline.core.errors import InvalidInput
from hookline.runtime.backends.tensors import STRING, TensorSpec

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Form = Literal["example", "batch", "columns"]
IMAGE_CHANNELS = (1, 3)
_IMAGE_RANK = 3
_MATRIX = 2


@dataclass(frozen=True, slots=True)
class Slot:
    """One input as an example fills it: `shape` is without the batch axis, -1 is any size.

    `is_channels_last`: `shape` is (H, W, C), while callers may also give (C, H, W).
    """

    name: str
    dtype: np.dtype[Any]
    shape: Shape
    is_channels_last: bool = False

    @property
    def in_shape(self) -> Shape:
        """`shape`, as (C, H, W) for images of either layout."""
        height_first = self.shape
        return (*height_first[2:], *height_first[:2]) if self.is_channels_last else height_first

    def fit(self, data: Any) -> Array:
        """One example of exactly this slot's shape and dtype. Raise InvalidInput otherwise."""
        array = self.cast(data)
        if array.shape == self.shape:
            return array
        (found, _) = self.examples(array)
        if len(found) != 1:
            raise self._misfit(array)
        return found[0]

    def cast(self, data: Any) -> Array:
        """`data` as an array of this slot's dtype."""
        try:
            array = np.asarray(data)
        except (ValueError, OverflowError) as error:
            raise InvalidInput(
                f"The input {self.name} is not a rectangular array.", why=f"{error}."
            ) from error
        return array if array.dtype == self.dtype and self.dtype != object else self._cast(array)

    def examples(self, array: Array) -> tuple[list[Array], Form]:
        """The examples in `array`, which is one of them, a batch, or a batch of columns.

        Columns are features × batch, features in (C, H, W) order for images.
        """
        if _matches(array.shape[1:], self.shape) and array.ndim:
            return list(_rows(array)), "batch"
        if _matches(array.shape, self.shape):
            return [array], "example"
        if self.is_channels_last and _matches(array.shape[1:], self.in_shape):
            return list(array.transpose(0, 2, 3, 1)), "batch"
        if self.is_channels_last and _matches(array.shape, self.in_shape):
            return [array.transpose(1, 2, 0)], "example"
        return self._unflattened(array)

    def _unflattened(self, array: Array) -> tuple[list[Array], Form]:
        features = prod(self.shape)
        if min(self.shape, default=0) < 1:
            raise self._misfit(array)
        if array.ndim == _MATRIX and array.shape[0] == features:
            return [self._from_column(column) for column in array.T], "columns"
        if array.ndim == _MATRIX and array.shape[1] == features:
            return [row.reshape(self.shape) for row in array], "batch"
        if array.ndim < _MATRIX and array.size == features:
            return [array.reshape(self.shape)], "example"
        raise self._misfit(array)

    def _from_column(self, column: Array) -> Array:
        example = column.reshape(self.in_shape)
        return example.transpose(1, 2, 0) if self.is_channels_last else example

    def _misfit(self, array: Array) -> InvalidInput:
        return InvalidInput(
            f"The input {self.name} has the shape {list(array.shape)}.",
            why=f"The model takes {list(self.shape)} for one example.",
            hint="A size of -1 may be any." if -1 in self.shape else "",
        )

    def _cast(self, array: Array) -> Array:
        if self.dtype == object:
            return self._as_strings(array)
        if array.dtype.kind not in "biuf":
            raise InvalidInput(
                f"The input {self.name} holds something that is not a number.",
                why=f"The model takes {self.dtype}.",
            )
        if self.dtype.kind == "f":
            return self._as_floats(array)
        with np.errstate(invalid="ignore"):
            whole = array.astype(self.dtype)
        if not np.array_equal(whole, array) or (self.dtype.kind == "b" != array.dtype.kind):
            raise InvalidInput(
                f"The input {self.name} holds values that {self.dtype} cannot hold.",
                why=f"The model takes {self.dtype}, and the values are {array.dtype}.",
            )
        return whole

    def _as_floats(self, array: Array) -> Array:
        try:
            with np.errstate(over="raise"):
                return array.astype(self.dtype)
        except FloatingPointError as error:
            raise InvalidInput(
                f"The input {self.name} holds a number too large for {self.dtype}."
            ) from error

    def _as_strings(self, array: Array) -> Array:
        strings = array.astype(object)
        if not all(isinstance(value, str) for value in strings.flat):
            raise InvalidInput(
                f"The input {self.name} holds something that is not text.",
                why="The model takes strings.",
            )
        return strings


def slot_of(spec: TensorSpec, *, has_batch_axis: bool, layout: str) -> Slot:
    """The slot of an input. `layout` NCHW or NHWC decides for images, "" looks at the shape."""
    shape = spec.shape[1:] if has_batch_axis else spec.shape
    return Slot(spec.name, spec.numpy_dtype, shape, _is_channels_last(shape, layout, spec.dtype))


def _is_channels_last(shape: Shape, layout: str, dtype: str) -> bool:
    if len(shape) != _IMAGE_RANK or dtype == STRING or layout == "NCHW":
        return False
    looks_so = shape[2] in IMAGE_CHANNELS and shape[0] not in IMAGE_CHANNELS
    return layout == "NHWC" or looks_so


def _matches(shape: Shape, wanted: Shape) -> bool:
    return shape == wanted or (
        len(shape) == len(wanted)
        and all(size in (-1, given) for size, given in zip(wanted, shape, strict=True))
    )


def _rows(array: Array) -> list[Array]:
    # The ellipsis keeps a row of a vector an array, where a plain index gives a scalar.
    return [array[row, ...] for row in range(len(array))]
