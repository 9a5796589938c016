"""The examples on a whole cloud: a bundle with a file beside it, and one that wants a package."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.e2e.cloud import DIGITS, ROOT, Cloud, digit_files, running, until

PHOTO = ROOT / "examples" / "photo"
FLOWER = ["black", "green", "orange"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("inference.py", "labels.json"):
            archive.write(PHOTO / "bundle" / name, name)
    return path


@pytest.fixture(scope="module")
def palette_id(cloud: Cloud) -> str:
    return str(cloud.ask("model", "import", f"{PHOTO}/palette.onnx", "--name", "palette")["id"])


def names(answer: str) -> list[str]:
    return [colour["name"] for colour in json.loads(answer)["palette"]]


def test_the_photo_bundle_names_the_colours_of_a_jpeg(
    cloud: Cloud, palette_id: str, bundle: Path
) -> None:
    stream = cloud.ask("model", "deploy", palette_id, "-f", str(bundle), "--wait")
    body = (PHOTO / "photos" / "flower.jpg").read_bytes()
    answer = cloud.predict(stream["presigned_token"], body, "image/jpeg")
    assert names(answer.text) == FLOWER


def test_the_photo_bundle_answers_the_same_in_a_batch(
    cloud: Cloud, palette_id: str, bundle: Path, tmp_path: Path
) -> None:
    volume = cloud.ask("volume", "upload", str(PHOTO / "photos"))
    job = cloud.ask("batch", "predict", palette_id, str(volume["id"]), "-f", str(bundle), "--wait")
    alone = cloud.run(
        "run", f"{PHOTO}/palette.onnx", f"{PHOTO}/photos/flower.jpg", "--hooks", str(bundle)
    )
    results = tmp_path / "results.csv"
    cloud.run("batch", "results", str(job["id"]), "-O", str(results))
    china, flower = results.read_text(encoding="utf-8").splitlines()
    assert china.startswith("china.jpg,")
    quoted = alone.stdout.strip().replace('"', '""')
    assert flower == f'flower.jpg,"{quoted}"'


def make_wheel(folder: Path) -> None:
    info = "leaf-1.0.dist-info"
    with zipfile.ZipFile(folder / "leaf-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("leaf.py", "COLOUR = 'green'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: leaf\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"leaf.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")


def test_a_bundle_gets_the_packages_that_it_pins(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels)
    bundle = tmp_path / "leaf.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("requirements.txt", "leaf==1.0\n")
        archive.writestr(
            "inference.py",
            "import leaf\ndef postprocess(output, raw_input):\n    return leaf.COLOUR\n",
        )
    settings = {"UV_FIND_LINKS": str(wheels), "UV_NO_INDEX": "1"}
    with running(tmp_path / "home", **settings) as cloud:
        model = cloud.ask("model", "import", f"{DIGITS}/digits.onnx", "--name", "digits")
        stream = cloud.ask("model", "deploy", str(model["id"]), "-f", str(bundle), "--wait")
        answer = cloud.predict(stream["presigned_token"], digit_files()[0].read_bytes())
        assert answer.text == "green"


def shell(cloud: Cloud, script: str, **variables: str) -> str:
    done = subprocess.run(
        ["bash", "-euc", script],
        check=False,
        capture_output=True,
        text=True,
        cwd=cloud.home.parent,
        env=cloud.environment | variables,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_quick_start_works_as_written(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    text = text.replace("examples/", f"{ROOT}/examples/")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    _demo, _install, up, deploy, *predict_and_batch, drop, stop = blocks
    assert up == "hookline up -d\n"
    with running(tmp_path / "home") as cloud:
        shell(cloud, deploy)
        token = str(cloud.ask("stream", "rotate", "1")["presigned_token"])
        script = "".join(predict_and_batch).replace("http://127.0.0.1:8700", cloud.endpoint)
        answers = shell(cloud, script, TOKEN=token)
        promised = re.search(r"```json\n(.*?)\n```", text, re.DOTALL)
        assert promised
        assert answers.count(promised[1]) == 2
        assert len((tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()) == 100
        shell(cloud, drop, HOME=str(tmp_path))
        until(lambda: len(landed(cloud)) == 5)
        assert stop.endswith("hookline down\n")
        shell(cloud, stop.removesuffix("hookline down\n"))


def landed(cloud: Cloud) -> list[str]:
    return [drop["name"] for drop in cloud.ask("volume", "triggers", "2", "--history")]
