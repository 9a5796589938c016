"""Import, deploy, predict, undeploy: by the command line and over HTTP."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import httpx2

from tests.e2e.cloud import BIN, CLASSIFY, DIGITS, Cloud, digit_files, until

IMAGE = digit_files()[0]
TRUTH = dict(csv.reader((DIGITS / "truth.csv").read_text().splitlines()))


def label(answer: bytes | str) -> str:
    return str(json.loads(answer)["predictions"][0]["label"])


def test_a_deployed_model_answers_by_token_over_http_and_cli(cloud: Cloud, model_id: str) -> None:
    stream = cloud.ask("model", "deploy", model_id, *CLASSIFY, "--wait")
    assert stream["status"] == "Running"
    token = stream["presigned_token"]
    for path in ("/predict", f"/streams/{stream['id']}/predict"):
        response = cloud.predict(token, IMAGE.read_bytes(), path=path)
        assert response.status_code == 200
        assert label(response.content) == TRUTH[IMAGE.name]
    by_path = httpx2.post(
        f"{cloud.endpoint}/predictions/{token}",
        content=IMAGE.read_bytes(),
        headers={"Content-Type": "image/png"},
    )
    assert label(by_path.content) == TRUTH[IMAGE.name]
    assert label(cloud.run("stream", "predict", token, str(IMAGE)).stdout) == TRUTH[IMAGE.name]


def test_the_same_model_runs_twice_with_other_hooks_and_formatters(
    cloud: Cloud, model_id: str
) -> None:
    raw = cloud.ask("model", "deploy", model_id, "--wait")
    hooked = cloud.ask("model", "deploy", model_id, "-f", f"{DIGITS}/hooks/inference.py", "--wait")
    answer = cloud.predict(raw["presigned_token"], IMAGE.read_bytes()).json()
    assert answer["shape"] == [10, 1]
    assert len(answer["outputs"]) == 10
    other = cloud.predict(hooked["presigned_token"], IMAGE.read_bytes()).json()
    assert other != answer
    assert raw["id"] != hooked["id"]


def test_bundles_come_as_a_zip_or_a_volume_and_lie_at_code(
    cloud: Cloud, model_id: str, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "word.txt").write_text("hello from /code")
    (bundle / "inference.py").write_text(
        "word = open('/code/word.txt').read()\n"
        "def postprocess(output, raw_input):\n    return {'word': word}\n"
    )
    subprocess.run(
        ["python3", "-m", "zipfile", "-c", "../bundle.zip", "inference.py", "word.txt"],
        check=True,
        cwd=bundle,
    )
    volume = cloud.ask("volume", "upload", str(bundle))
    for given in (str(tmp_path / "bundle.zip"), str(volume["id"])):
        stream = cloud.ask("model", "deploy", model_id, "-f", given, "--wait")
        answer = cloud.predict(stream["presigned_token"], IMAGE.read_bytes())
        assert answer.json() == {"word": "hello from /code"}


def test_a_hook_that_fails_to_import_fails_the_stream_with_its_own_lines(
    cloud: Cloud, model_id: str, tmp_path: Path
) -> None:
    hook = tmp_path / "inference.py"
    hook.write_text("import json\n\nlabels = json.loads('{broken')\n")
    deployed = cloud.run("model", "deploy", model_id, "-f", str(hook), "--wait", status=8)
    assert "labels = json.loads('{broken')" in deployed.stderr
    shown = next(s for s in cloud.ask("stream", "list") if s["status"] == "Failed")
    stream = cloud.ask("stream", "show", str(shown["id"]))
    assert stream["failure"]["code"] == "hook_failed"
    assert "inference.py" in stream["failure"]["trace"]
    assert "labels = json.loads('{broken')" in stream["failure"]["trace"]
    assert "site-packages" not in stream["failure"]["trace"]
    assert "JSONDecodeError" in cloud.run("stream", "logs", str(shown["id"])).stdout


def test_undeploy_frees_the_process_and_voids_the_token(cloud: Cloud, model_id: str) -> None:
    before = set(cloud.processes())
    stream = cloud.ask("model", "deploy", model_id, "--wait")
    started = set(cloud.processes()) - before
    assert started
    assert cloud.ask("stream", "undeploy", str(stream["id"]))["status"] == "Undeploying"
    until(lambda: cloud.ask("stream", "show", str(stream["id"]))["status"] == "Undeployed")
    assert not started & set(cloud.processes())
    gone = cloud.predict(stream["presigned_token"], IMAGE.read_bytes())
    assert gone.status_code == 401


def test_a_rotated_token_replaces_the_old_one(cloud: Cloud, model_id: str) -> None:
    stream = cloud.ask("model", "deploy", model_id, "--wait")
    fresh = cloud.ask("stream", "rotate", str(stream["id"]))["presigned_token"]
    assert cloud.predict(fresh, IMAGE.read_bytes()).status_code == 200
    old = stream["presigned_token"]
    until(lambda: cloud.predict(old, IMAGE.read_bytes()).status_code == 401)


def test_a_killed_replica_is_replaced(cloud: Cloud, model_id: str, tmp_path: Path) -> None:
    hook = tmp_path / "inference.py"
    hook.write_text(
        "import ctypes\n"
        "def preprocess(input, model):\n"
        "    if input == b'die':\n        ctypes.string_at(0)\n"
        "    return model.run\n"
        "def predict(data, model):\n    return None\n"
        "def postprocess(output, raw_input):\n    return 'alive'\n"
    )
    stream = cloud.ask("model", "deploy", model_id, "-f", str(hook), "--wait")
    token = stream["presigned_token"]
    assert cloud.predict(token, b"hello").text == "alive"
    assert cloud.predict(token, b"die").status_code == 503
    until(lambda: cloud.predict(token, b"hello").status_code == 200)
    assert cloud.ask("stream", "show", str(stream["id"]))["status"] == "Running"


def test_the_api_describes_itself(cloud: Cloud) -> None:
    document = httpx2.get(f"{cloud.endpoint}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/v1/models" in document["paths"]


def test_nothing_answers_without_a_key(cloud: Cloud) -> None:
    document = httpx2.get(f"{cloud.endpoint}/openapi.json").json()
    for path, operations in document["paths"].items():
        for method in operations:
            if path == "/openapi.json":
                continue
            url = cloud.endpoint + path.replace("{", "").replace("}", "")
            response = httpx2.request(method.upper(), url)
            assert response.status_code == 401, (method, path)
            assert response.json()["code"] == "unauthenticated"


def test_only_this_machine_is_listened_to(cloud: Cloud) -> None:
    port = int(cloud.endpoint.rpartition(":")[2])
    listening = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == port
    ]
    assert listening == [f"0100007F:{port:04X}"]


def test_a_foreign_host_name_is_refused(cloud: Cloud) -> None:
    response = httpx2.get(f"{cloud.endpoint}/v1/me", headers={"Host": "evil.example"})
    assert response.status_code == 400


def test_no_secret_is_stored_or_logged(cloud: Cloud, model_id: str) -> None:
    token = cloud.ask("model", "deploy", model_id, "--wait")["presigned_token"]
    assert cloud.predict(token, IMAGE.read_bytes()).status_code == 200
    files = [path for path in cloud.home.rglob("*") if path.is_file()]
    assert not [path for path in files if token.encode() in path.read_bytes()]
    key = (cloud.home / "profile.toml").read_text().partition('key = "')[2].partition('"')[0]
    holders = [path.name for path in files if key.encode() in path.read_bytes()]
    assert holders == ["profile.toml"]


def test_a_second_cloud_in_the_same_home_is_refused(cloud: Cloud) -> None:
    refused = cloud.run("up", "--port", "0", "-d", status=5)
    assert "already runs" in refused.stderr


def test_help_needs_no_cloud() -> None:
    done = subprocess.run([BIN / "hookline", "--help"], check=True, capture_output=True, text=True)
    assert "batch" in done.stdout
