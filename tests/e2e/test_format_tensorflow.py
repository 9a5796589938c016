"""SavedModels, frozen graphs and Keras files, made by TensorFlow and served as ONNX."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hookline.convert.routes import ROUTES
from tests.e2e.cloud import Cloud
from tests.e2e.formats import journey, kept_cache, made, outputs

pytestmark = [pytest.mark.formats, pytest.mark.timeout(3600)]

PROGRAM = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

keras.utils.set_random_seed(0)
image = keras.Input((8, 8, 3), name="image")
x = keras.layers.Conv2D(4, 3, activation="relu")(image)
x = keras.layers.BatchNormalization()(x)
x = keras.layers.Flatten()(x)
net = keras.Model(image, keras.layers.Dense(5, activation="softmax", name="scores")(x))
example = np.random.default_rng(0).standard_normal((1, 8, 8, 3)).astype(np.float32)
np.save("x.npy", example[0])
np.save("y.npy", net(example).numpy())
net.save("net.keras")
net.save("net.h5")
net.export("saved", verbose=False)

words = keras.Input((6, 3), name="words")
lstm = keras.Model(words, keras.layers.Dense(2)(keras.layers.LSTM(4)(words)))
lstm.save("lstm.keras")
sentence = np.random.default_rng(1).standard_normal((1, 6, 3)).astype(np.float32)
np.save("lstm_x.npy", sentence[0])
np.save("lstm_y.npy", lstm(sentence).numpy())

called = tf.function(lambda image: net(image))
spec = tf.TensorSpec((None, 8, 8, 3), tf.float32, name="image")
frozen = convert_variables_to_constants_v2(called.get_concrete_function(spec))
with open("frozen.pb", "wb") as file:
    file.write(frozen.graph.as_graph_def().SerializeToString())

risky = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x + 1)])
risky.save("lambda.keras")
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with kept_cache(tmp_path_factory.mktemp("tensorflow") / "home") as started:
        yield started


@pytest.fixture(scope="module")
def models(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    made(cloud, ROUTES["keras"].packages, PROGRAM, folder)
    return folder


@pytest.mark.parametrize(
    ("name", "data", "source"),
    [
        ("saved", "", "TensorFlow SavedModel"),
        ("frozen.pb", "", "TensorFlow frozen graph"),
        ("net.keras", "", "Keras"),
        ("net.h5", "", "Keras HDF5"),
        ("lstm.keras", "lstm_", "Keras"),
    ],
)
def test_a_model_answers_as_in_tensorflow(
    name: str, data: str, source: str, cloud: Cloud, models: Path, tmp_path: Path
) -> None:
    x, y = np.load(models / f"{data}x.npy"), np.load(models / f"{data}y.npy")

    found = journey(
        cloud, models / name, x, "--sample", str(models / f"{data}x.npy"), folder=tmp_path
    )

    assert np.abs(outputs(found.served) - y.ravel()).max() < 1e-5
    assert found.batched == found.served
    conversion = found.model["conversion"]
    assert conversion["source"] == source
    assert 0 <= conversion["max_difference"] < 1e-5
    assert conversion["cases"] == 3
    assert "largest difference" in found.said


def test_a_conversion_is_compared_on_images_too(cloud: Cloud, models: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    one = str(models / "net.keras"), "--scale", str(1 / 255), "--name", "m", "-o", "json"

    done = cloud.run("model", "import", *one, "--sample", str(tmp_path / "photo.png"))

    found = json.loads(done.stdout)
    shown = cloud.ask("model", "show", str(found["id"]))
    assert shown["conversion"]["cases"] == 3
    assert 0 <= shown["conversion"]["max_difference"] < 1e-5


def test_code_inside_a_keras_file_is_refused(cloud: Cloud, models: Path) -> None:
    done = cloud.run(
        "model", "import", f"{models}/lambda.keras", "--name", "x", status=6, timeout_s=600
    )
    assert "ambda" in done.stderr
    assert "Traceback" not in done.stderr
