"""All four hooks for the digits model. Any of them may be left out: hookline has its own."""

import io
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image


def init(prm: str) -> onnxruntime.InferenceSession:
    """Load the file at the path `prm`. What comes back is the `model` of the other hooks."""
    return onnxruntime.InferenceSession(prm, providers=["CPUExecutionProvider"])


def preprocess(input: bytes, model: onnxruntime.InferenceSession) -> np.ndarray:
    """One image file as the tensor [1, 1, 8, 8] that the model takes."""
    _, _, height, width = model.get_inputs()[0].shape
    image = Image.open(io.BytesIO(input)).convert("L").resize((width, height))
    return np.asarray(image, dtype=np.float32)[np.newaxis, np.newaxis] / 255


def predict(data: np.ndarray, model: onnxruntime.InferenceSession) -> np.ndarray:
    """The probabilities of the ten digits, [1, 10]."""
    return model.run(None, {"image": data})[0]


def postprocess(output: np.ndarray, raw_input: bytes) -> dict[str, Any]:
    """The answer, sent as JSON; `raw_input` is the file that was asked about."""
    best = int(np.argmax(output))
    return {"label": str(best), "probability": round(float(np.max(output)), 4)}
