"""The examples answer what their READMEs say, on pictures that the training never saw."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from examples.digits.dataset import DROPPED, HELD_OUT, as_tensor, draw, load, split
from hookline.runtime.items import Answer, Item
from hookline.runtime.pipeline import Pipeline
from hookline.runtime.spec import PipelineSpec

# inference.py takes over the process that imports it: it has one of its own, as in a replica.
PREDICT = """
import json, sys
from hookline.runtime.items import Item
from hookline.runtime.pipeline import Pipeline
from hookline.runtime.spec import PipelineSpec

pipeline = Pipeline.load(PipelineSpec(model_path=sys.argv[1], code_dir=sys.argv[2]))
items = [Item(open(path, "rb").read(), sys.argv[3]) for path in sys.argv[4:]]
print(json.dumps([json.loads(answer.body) for answer in pipeline.run(items)]))
"""

EXAMPLES = Path(__file__).parents[2] / "examples"
DIGITS, PHOTO = EXAMPLES / "digits", EXAMPLES / "photo"


@pytest.fixture(scope="module")
def truth() -> dict[str, str]:
    with (DIGITS / "truth.csv").open(newline="", encoding="utf-8") as file:
        return {row["name"]: row["label"] for row in csv.DictReader(file)}


def test_the_shipped_digits_are_the_ones_left_out_of_training(truth: dict[str, str]) -> None:
    images, labels = load()
    parts = split(labels)
    left_out = [*parts.held_out, *parts.dropped]
    assert (len(parts.held_out), len(parts.dropped)) == (HELD_OUT, DROPPED)
    assert not set(parts.train.tolist()) & {int(index) for index in left_out}
    shipped = sorted([*(DIGITS / "images").iterdir(), *(DIGITS / "drops").iterdir()])
    assert sorted(path.name for path in shipped) == sorted(truth)
    for index, name in zip(left_out, truth, strict=True):
        (path,) = (path for path in shipped if path.name == name)
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(draw(images[index])))
        assert truth[name] == str(labels[index])


def test_every_digit_is_held_out_equally_often(truth: dict[str, str]) -> None:
    held_out = [truth[path.name] for path in (DIGITS / "images").iterdir()]
    assert {digit: held_out.count(digit) for digit in set(held_out)} == dict.fromkeys(
        "0123456789", 10
    )


def test_the_model_is_small_and_carries_its_labels() -> None:
    path = DIGITS / "digits.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert path.stat().st_size < 500_000
    assert json.loads(metadata["labels"]) == (DIGITS / "labels.txt").read_text().split()
    assert float(metadata["scale"]) == 1 / 255


def test_bare_onnxruntime_agrees_with_the_published_accuracy(truth: dict[str, str]) -> None:
    session = onnxruntime.InferenceSession(DIGITS / "digits.onnx")
    paths = sorted((DIGITS / "images").iterdir())
    batch = np.stack([as_tensor(Image.open(path)) for path in paths])
    (probabilities,) = session.run(None, {"image": batch})
    answers = probabilities.argmax(axis=1)
    right = sum(
        str(answer) == truth[path.name] for answer, path in zip(answers, paths, strict=True)
    )
    assert right == 98
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def predicted_with_hooks(model: Path, hooks: Path, mime_type: str, paths: list[Path]) -> list[Any]:
    arguments = [str(part) for part in (model, hooks, mime_type, *paths)]
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def predicted(model: Path, mime_type: str, paths: list[Path], **args: Any) -> list[Any]:
    spec = PipelineSpec(model_path=str(model), formatter="classification", formatter_args=args)
    outcomes = Pipeline.load(spec).run([Item(path.read_bytes(), mime_type) for path in paths])
    return [json.loads(answer.body) for answer in outcomes if isinstance(answer, Answer)]


def accuracy(labels: list[str], paths: list[Path], truth: dict[str, str]) -> float:
    right = [label == truth[path.name] for label, path in zip(labels, paths, strict=True)]
    return sum(right) / len(right)


def test_canned_preprocessing_reads_at_least_95_percent(truth: dict[str, str]) -> None:
    paths = sorted((DIGITS / "images").iterdir())
    answers = predicted(DIGITS / "digits.onnx", "image/png", paths, label=True)
    labels = [answer["predictions"][0]["label"] for answer in answers]
    assert accuracy(labels, paths, truth) >= 0.95


def test_the_four_hooks_read_at_least_95_percent(truth: dict[str, str]) -> None:
    paths = sorted((DIGITS / "images").iterdir())
    model, hooks = DIGITS / "digits.onnx", DIGITS / "hooks"
    answers = predicted_with_hooks(model, hooks, "image/png", paths)
    assert accuracy([answer["label"] for answer in answers], paths, truth) >= 0.95
    assert all(0 < answer["probability"] <= 1 for answer in answers)


def test_the_hooks_show_all_four_in_a_screen() -> None:
    text = (DIGITS / "hooks" / "inference.py").read_text(encoding="utf-8")
    for name in ("init", "preprocess", "predict", "postprocess"):
        assert f"def {name}(" in text
    assert len(text.splitlines()) <= 40


def test_the_photo_bundle_answers_as_its_readme_says() -> None:
    photos = [PHOTO / "photos" / "china.jpg", PHOTO / "photos" / "flower.jpg"]
    china, flower = predicted_with_hooks(
        PHOTO / "palette.onnx", PHOTO / "bundle", "image/jpeg", photos
    )
    assert [colour["name"] for colour in china["palette"][:2]] == ["white", "brown"]
    readme = (PHOTO / "README.md").read_text(encoding="utf-8")
    (shown,) = (line for line in readme.splitlines() if line.startswith('{"width"'))
    documented = json.loads(shown)
    assert (flower["width"], flower["height"]) == (documented["width"], documented["height"])
    for found, said in zip(flower["palette"], documented["palette"], strict=True):
        assert (found["name"], found["hex"]) == (said["name"], said["hex"])
        assert found["share"] == pytest.approx(said["share"], abs=0.01)  # JPEG decoders differ


def test_the_photo_model_answers_without_hooks_too() -> None:
    photo = PHOTO / "photos" / "flower.jpg"
    (answer,) = predicted(PHOTO / "palette.onnx", "image/jpeg", [photo], label=True, num_preds=2)
    assert [each["label"] for each in answer["predictions"]] == ["black", "green"]
