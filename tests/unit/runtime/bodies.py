"""Bodies of every type, and what the canned preprocessors make of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hookline.runtime.items import Item
from hookline.runtime.model import Model
from hookline.runtime.preprocessors import by_mime_type
from hookline.runtime.spec import PipelineSpec

RGB = np.arange(60, dtype=np.uint8).reshape(4, 5, 3) * 4
NOISE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
GRAY = np.arange(20, dtype=np.uint8).reshape(4, 5) * 12


def load(path: Path, **settings: Any) -> Model:
    return Model.load(PipelineSpec(model_path=str(path), threads=1, **settings))


def encoded(picture: Image.Image | np.ndarray[Any, Any], kind: str = "PNG", **how: Any) -> bytes:
    file = io.BytesIO()
    found = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    found.save(file, kind, **how)
    return file.getvalue()


def npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def prepared(body: bytes, mime_type: str, model: Model, name: str = "") -> Any:
    return by_mime_type.preprocess(Item(body, mime_type, name), model)


def fitted(body: bytes, mime_type: str, model: Model) -> list[Any]:
    (array,) = model.fit(prepared(body, mime_type, model)).values()
    values: list[Any] = array.tolist()
    return values
