"""The seed's session, word for word: its lines, its tables, its sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookline.cli.output import table
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_api import TOKEN, FakeApi

SEED_DEPLOY = """\
|      id      |         presigned_token          |    status    |
|          23  |  8e517a6e6ed915103240c0c9ef0b4b  |   Deploying  |
"""
SEED_UNDEPLOY = """\
|      id      |    status     |
|          23  |  Undeploying  |
"""
SEED_UPLOAD = """\
Created volume with ID 56.
3/3 Uploaded. 0 Failed.
|    failed    |      id      |   success    |  total_files  |
|           0  |          56  |           3  |            3  |
"""
SEED_PREDICT = """\
|      id      |    status    |
|          21  |    Received  |
"""
SEED_LIST = """\
|      id      |   model_id   |    status    |
|          21  |           2  |      Queued  |
"""


@pytest.fixture
def seed(api: FakeApi) -> FakeApi:
    api.models[2] = {"id": 2, "name": "m", "format": "onnx", "status": "Ready"}
    return api


def test_the_seeds_short_token_gives_the_seeds_table() -> None:
    row = {"id": 23, "presigned_token": "8e517a6e6ed915103240c0c9ef0b4b", "status": "Deploying"}

    lines = table([row], ("id", "presigned_token", "status"))

    assert "".join(f"{line}\n" for line in lines) == SEED_DEPLOY


def test_deploy_prints_id_token_and_status(seed: FakeApi, ncloud: Call) -> None:
    seed.first_id = 23

    result = ncloud("model deploy 2")

    assert result.exit_code == 0
    header, row = result.stdout.splitlines()
    assert [cell.strip() for cell in header.split("|")[1:-1]] == ["id", "presigned_token", "status"]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == ["23", TOKEN, "Deploying"]
    assert len(header) == len(row)


def test_predict_prints_the_answer_as_is(tmp_path: Path, ncloud: Call) -> None:
    image = tmp_path / "img1.jpg"
    image.write_bytes(b"jpeg")

    result = ncloud(f"stream predict {TOKEN} {image}")

    assert result.stdout == '{"outputs":[0.0,1.0],"shape":[2,1],"type":"image/jpeg"}\n'


def test_undeploy_prints_the_seeds_table(seed: FakeApi, ncloud: Call) -> None:
    seed.streams[23] = {"id": 23, "model_id": 2, "status": "Running"}

    assert ncloud("stream undeploy 23").stdout == SEED_UNDEPLOY


def test_upload_prints_the_seeds_sentences_and_table(
    tmp_path: Path, seed: FakeApi, ncloud: Call
) -> None:
    folder = tmp_path / "tiny_image_volume"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (folder / name).write_bytes(name.encode())
    seed.first_id = 56

    result = ncloud(f"volume upload {folder}")

    assert result.stdout == SEED_UPLOAD
    assert seed.volumes[56]["name"] == "tiny_image_volume"
    assert seed.blobs["/blobs/56/b.png"] == b"b.png"


def test_batch_predict_list_stop_and_results(seed: FakeApi, ncloud: Call) -> None:
    seed.first_id = 21
    seed.volumes[56] = {"id": 56, "name": "tiny"}

    assert ncloud("batch predict 2 56").stdout == SEED_PREDICT
    seed.jobs[21]["status"] = "Queued"
    assert ncloud("batch list").stdout == SEED_LIST
    stopped = ncloud("batch stop 21")
    assert stopped.stdout.splitlines()[1] == "|          21  |    Stopping  |"
    seed.jobs[21]["status"] = "Completed"
    seed.results[21] = b"a.png,7\nb.png,8\n"
    assert ncloud("batch results 21").stdout == "a.png,7\nb.png,8\n"


def test_the_results_of_a_stopped_job_come_with_a_word(seed: FakeApi, ncloud: Call) -> None:
    seed.jobs[21] = {"id": 21, "status": "Stopped", "model_id": 2, "volume_id": 56}
    seed.results[21] = b"a.png,7\n"

    result = ncloud("batch results 21")

    assert result.stdout == "a.png,7\n"
    assert "was stopped" in result.stderr


@pytest.mark.parametrize(
    "line", ["b ls", "s ls", "ds ls", "d ls", "volume ls", "m ls", "s rm 23", "ds rm 56", "m rm 2"]
)
def test_short_forms_are_known(line: str, seed: FakeApi, ncloud: Call) -> None:
    seed.streams[23] = {"id": 23, "model_id": 2, "status": "Running"}
    seed.volumes[56] = {"id": 56, "name": "tiny"}

    assert ncloud(line).exit_code == 0


def test_short_forms_upload_and_link(tmp_path: Path, seed: FakeApi, ncloud: Call) -> None:
    (tmp_path / "a.png").write_bytes(b"a")

    assert ncloud(f"ds ul {tmp_path}").exit_code == 0
    assert ncloud(f"ds ln {tmp_path}").exit_code == 0
    assert seed.volumes[2]["link"] == str(tmp_path)


def test_ncloud_has_the_seeds_nouns_alone(ncloud: Call) -> None:
    assert ncloud("up").exit_code == 2
    assert "doctor" not in ncloud("--help").stdout
