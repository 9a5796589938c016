"""The Nervana documentation's own session, word for word, through `ncloud`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.e2e.cloud import DIGITS, Cloud, digit_files, running, until


def test_the_session_of_the_documentation_runs_word_for_word(tmp_path: Path) -> None:
    volume = tmp_path / "tiny_image_volume"
    volume.mkdir()
    for image in digit_files()[:3]:
        shutil.copy(image, volume)
    shutil.copy(digit_files()[0], tmp_path / "img1.jpg")  # Pillow goes by content, not by name
    with running(tmp_path / "home") as cloud:
        for _ in range(2):  # the session deploys model 2
            cloud.run("model", "import", f"{DIGITS}/digits.onnx", "--name", "digits")
        streaming(cloud, tmp_path)
        batch(cloud, tmp_path)


def streaming(cloud: Cloud, folder: Path) -> None:
    deployed = table(ncloud(cloud, "model", "deploy", "2"))
    assert deployed[0] == ["id", "presigned_token", "status"]
    stream_id, token, status = deployed[1]
    assert status == "Deploying"
    until(lambda: cloud.ask("stream", "show", stream_id)["status"] == "Running")
    answer = ncloud(cloud, "stream", "predict", token, f"{folder}/img1.jpg")
    assert re.fullmatch(r'\{"outputs": \[[-0-9.e, ]+\], "shape": \[10, 1\]\}\n', answer)
    undeployed = table(ncloud(cloud, "stream", "undeploy", stream_id))
    assert undeployed == [["id", "status"], [stream_id, "Undeploying"]]


def batch(cloud: Cloud, folder: Path) -> None:
    uploaded = ncloud(cloud, "volume", "upload", f"{folder}/tiny_image_volume").splitlines()
    volume_id = re.fullmatch(r"Created volume with ID (\d+)\.", uploaded[0])
    assert volume_id
    assert uploaded[1] == "3/3 Uploaded. 0 Failed."
    assert table("\n".join(uploaded[2:])) == [
        ["failed", "id", "success", "total_files"],
        ["0", volume_id[1], "3", "3"],
    ]
    predicted = table(ncloud(cloud, "batch", "predict", "2", volume_id[1]))
    assert predicted[0] == ["id", "status"]
    job_id, status = predicted[1]
    assert status == "Received"
    listed = table(ncloud(cloud, "batch", "list"))
    assert listed[0] == ["id", "model_id", "status"]
    assert listed[1][:2] == [job_id, "2"]
    until(lambda: cloud.ask("batch", "show", job_id)["status"] == "Completed")
    rows = ncloud(cloud, "batch", "results", job_id).splitlines()
    assert [row.split(",")[0] for row in rows] == [path.name for path in digit_files()[:3]]
    ncloud(cloud, "batch", "stop", job_id)


def ncloud(cloud: Cloud, *arguments: str) -> str:
    return cloud.run(*arguments, program="ncloud").stdout


def table(text: str) -> list[list[str]]:
    """The cells of a table in the documentation's style."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
