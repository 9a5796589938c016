"""How good a model of the cloud is, by its command, and answers that are no classes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.cloud import DIGITS, Cloud, digit_files

TRUTH = ("--labels", f"{DIGITS}/truth.csv")


def test_a_model_is_evaluated_on_a_volume(cloud: Cloud, model_id: str, tmp_path: Path) -> None:
    volume = cloud.ask("volume", "upload", f"{DIGITS}/images")

    report = cloud.ask(
        "model", "evaluate", model_id, str(volume["id"]), *TRUTH, "--save", str(tmp_path / "r")
    )

    assert report["top_1"] == 0.98
    assert report["examples"] == 100
    assert json.loads((tmp_path / "r" / "report.json").read_text()) == report
    matrix = json.loads((tmp_path / "r" / "confusion.json").read_text())
    assert matrix == {"labels": list("0123456789"), "rows": report["confusion"]}
    assert (tmp_path / "r" / "confusion.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("place", "labels", "status", "sentence"),
    [
        (f"{DIGITS}/images", "nothing.csv", 3, "There is no file nothing.csv"),
        (f"{DIGITS}/drops", f"{DIGITS}/labels.txt", 6, "does not say what is right"),
        (f"{DIGITS}/hooks", f"{DIGITS}/truth.csv", 6, "names none of the"),
        ("999", f"{DIGITS}/truth.csv", 3, "999"),
    ],
)
def test_what_cannot_be_evaluated_says_why(
    place: str, labels: str, status: int, sentence: str, cloud: Cloud, model_id: str
) -> None:
    done = cloud.run("model", "evaluate", model_id, place, "--labels", labels, status=status)
    assert sentence in done.stderr


def test_a_stream_answers_as_an_embedding(cloud: Cloud, model_id: str) -> None:
    stream = cloud.ask(
        "model",
        "deploy",
        model_id,
        "--formatter",
        "embedding",
        "-a",
        '{"normalize": true}',
        "--wait",
    )

    answer = cloud.predict(stream["presigned_token"], digit_files()[0].read_bytes()).json()

    assert answer["dimensions"] == 10
    assert sum(value**2 for value in answer["embedding"]) == pytest.approx(1, abs=1e-5)
    cloud.run("stream", "undeploy", str(stream["id"]))
