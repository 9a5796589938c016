"""Name the colours of a photograph. labels.json lies beside this file, at /code."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CODE = Path(os.environ.get("HOOKLINE_CODE_DIR", "/code"))
LABELS = json.loads((CODE / "labels.json").read_text(encoding="utf-8"))


def preprocess(input: bytes, model: Any) -> np.ndarray:
    """float32 [3, H, W], RGB from 0 to 255. Each pixel is the mean of the area it stands for."""
    _, height, width = model.layers.in_shape
    image = Image.open(io.BytesIO(input)).convert("RGB")
    pixels = image.resize((width, height), Image.Resampling.BOX)
    return np.asarray(pixels, dtype=np.float32).transpose(2, 0, 1)


def postprocess(output: np.ndarray, raw_input: bytes) -> dict[str, Any]:
    """The colours that cover at least a twentieth of the picture, the largest share first."""
    shares = np.ravel(output)
    palette = [
        {**LABELS[index], "share": round(float(shares[index]), 3)}
        for index in np.argsort(-shares, kind="stable")
        if shares[index] >= 0.05
    ]
    width, height = Image.open(io.BytesIO(raw_input)).size
    return {"width": width, "height": height, "palette": palette}
