"""A model in another precision: made on files of the cloud, compared, deployed or held back."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookline.convert.isolation import Bench
from hookline.core.models import Precision
from hookline.evaluation.workshop import Material, Workshop
from hookline.runtime.spec import PipelineSpec
from tests.e2e.cloud import CLASSIFY, DIGITS, Cloud, digit_files

TRUTH = f"{DIGITS}/truth.csv"


@pytest.fixture(scope="module")
def volume_id(cloud: Cloud) -> str:
    return str(cloud.ask("volume", "upload", f"{DIGITS}/images")["id"])


def test_an_int8_variant_is_calibrated_on_a_volume_and_served(
    cloud: Cloud, model_id: str, volume_id: str
) -> None:
    done = cloud.run(
        "model", "optimize", model_id, "--precision", "int8", "--calibrate", volume_id,
        "--labels", TRUTH, "-o", "id",
    )  # fmt: skip

    shown = cloud.ask("model", "show", done.stdout.strip())
    assert "It answers like its original on" in done.stderr
    assert shown["variant"]["parent_id"] == int(model_id)
    assert shown["variant"]["precision"] == "int8"
    found = shown["variant"]["accuracy"]
    assert found["examples"] == 100
    assert found["agreement"] >= 0.99
    assert found["accuracy"] >= 0.97
    assert found["size_bytes"] == shown["size_bytes"] < found["original_size_bytes"] / 2
    table = cloud.run("model", "show", done.stdout.strip()).stdout
    assert "accuracy.agreement" in table
    stream = cloud.ask("model", "deploy", done.stdout.strip(), *CLASSIFY, "--wait")
    body = digit_files()[0].read_bytes()
    answer = cloud.predict(stream["presigned_token"], body).json()
    assert answer["predictions"][0]["label"] == "2"
    cloud.run("stream", "undeploy", str(stream["id"]))


def test_a_variant_below_its_bound_is_kept_and_used_by_force_alone(
    cloud: Cloud, volume_id: str
) -> None:
    done = cloud.run(
        "model", "import", f"{DIGITS}/digits.onnx", "--name", "small", "--precision", "int4",
        "--calibrate", f"{DIGITS}/images", "--min-agreement", "100", "-o", "id",
    )  # fmt: skip
    model_id = done.stdout.strip()

    assert "--force alone" in done.stderr
    refused = cloud.run("model", "deploy", model_id, status=5)
    assert f"Model {model_id} in int4 answers like its original on" in refused.stderr
    cloud.run("batch", "predict", model_id, volume_id, status=5)
    stream = cloud.ask("model", "deploy", model_id, "--force", "--wait")
    assert stream["status"] == "Running"
    job = cloud.ask("batch", "predict", model_id, volume_id, "--force", "--wait")
    assert (job["status"], job["succeeded"]) == ("Completed", 100)
    cloud.run("stream", "undeploy", str(stream["id"]))


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("--precision", "bf16"), 8, "no matrix product in bfloat16"),
        (("--precision", "int8", "--calibrate", "999"), 3, "999"),
        (("--precision", "int8", "--calibrate", "examples/digits/hooks"), 6, "Not one of the"),
        (("--precision", "int8", "--labels", TRUTH), 2, "--labels needs --calibrate"),
    ],
)
def test_what_cannot_be_made_leaves_no_model(
    cloud: Cloud, model_id: str, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    before = cloud.ask("model", "list")

    done = cloud.run("model", "optimize", model_id, *arguments, status=status)

    assert sentence in done.stderr
    assert cloud.ask("model", "list") == before


def test_a_volume_without_files_cannot_calibrate(
    cloud: Cloud, model_id: str, tmp_path: Path
) -> None:
    linked = cloud.ask("volume", "link", str(tmp_path))

    done = cloud.run(
        "model", "optimize", model_id, "--precision", "int8", "--calibrate", str(linked["id"]),
        status=6,
    )  # fmt: skip

    assert "has no file to read" in done.stderr


@pytest.mark.formats
@pytest.mark.parametrize("precision", ["fp16", "mixed", "int8", "int4"])
def test_a_python_without_onnx_builds_an_environment(
    precision: Precision, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    cache = tmp_path_factory.getbasetemp() / "precisions"
    shop = Workshop(Bench("auto", ()), cache, lambda _: None, modules=("no_such_module",))
    spec = PipelineSpec(model_path=f"{DIGITS}/digits.onnx", threads=1)
    files = Material({path.name: path for path in digit_files()})

    told = shop.optimize(spec, precision, files, tmp_path / "variant.onnx")

    assert told["accuracy"]["agreement"] >= 0.98
    assert len([each for each in cache.iterdir() if len(each.name) == 64]) == 1
