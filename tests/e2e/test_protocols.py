"""What others wrote talks to our streams: Triton's clients, AWS's SDK, curl."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import httpx2
import numpy as np
import pytest
import tritonclient.http as triton_http
from botocore import UNSIGNED
from botocore.config import Config
from PIL import Image
from tritonclient.utils import InferenceServerException

from tests.e2e.cloud import DIGITS, Cloud, digit_files

TRUTH = dict(
    line.split(",")
    for line in (DIGITS / "truth.csv").read_text().splitlines()
    if line[-1].isdigit()
)


@dataclass(frozen=True)
class Stream:
    """A stream of the digits model, and where its cloud is."""

    stream_id: str
    token: str
    place: str  # host and port

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture(scope="module")
def stream(cloud: Cloud, model_id: str) -> Stream:
    made = cloud.ask("model", "deploy", model_id, "--wait")
    place = cloud.endpoint.removeprefix("http://")
    return Stream(str(made["id"]), made["presigned_token"], place)


@pytest.fixture(params=["in the header", "in the path"])
def triton(
    request: pytest.FixtureRequest, stream: Stream
) -> Iterator[tuple[triton_http.InferenceServerClient, dict[str, str]]]:
    """A client by HTTP, and the headers for it."""
    is_in_path = request.param == "in the path"
    base = f"{stream.place}/predictions/{stream.token}" if is_in_path else stream.place
    with triton_http.InferenceServerClient(base) as client:
        yield client, {} if is_in_path else stream.headers


def pixels(count: int) -> np.ndarray[Any, Any]:
    """That many digits as the model takes them: float32 [N, 1, 8, 8]."""
    images = [Image.open(path).convert("L").resize((8, 8)) for path in digit_files()[:count]]
    return np.stack([np.asarray(image) for image in images])[:, None].astype(np.float32) / 255


def truth(count: int) -> list[int]:
    return [int(TRUTH[path.name]) for path in digit_files()[:count]]


@pytest.mark.parametrize("is_binary", [True, False])
def test_tritons_http_client_infers_rows(
    triton: tuple[triton_http.InferenceServerClient, dict[str, str]],
    is_binary: bool,  # noqa: FBT001 - a parameter
) -> None:
    client, headers = triton
    rows = triton_http.InferInput("image", [40, 1, 8, 8], "FP32")
    rows.set_data_from_numpy(pixels(40), binary_data=is_binary)
    wanted = triton_http.InferRequestedOutput("probabilities", binary_data=is_binary)
    answer = client.infer("digits", [rows], outputs=[wanted], request_id="r-1", headers={**headers})
    found = answer.as_numpy("probabilities").argmax(axis=1).tolist()
    assert sum(a == b for a, b in zip(found, truth(40), strict=True)) >= 38
    assert answer.get_response()["id"] == "r-1"


def test_tritons_http_client_reads_what_a_stream_is(
    triton: tuple[triton_http.InferenceServerClient, dict[str, str]],
) -> None:
    client, headers = triton
    assert client.is_server_live(headers={**headers})
    assert client.is_server_ready(headers={**headers})
    assert client.is_model_ready("digits", headers={**headers})
    assert not client.is_model_ready("others", headers={**headers})
    assert client.get_server_metadata(headers={**headers})["name"] == "hookline"
    model = client.get_model_metadata("digits", headers={**headers})
    assert model["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}]
    config = client.get_model_config("digits", headers={**headers})
    assert config["max_batch_size"] >= 1
    (entry,) = client.get_model_repository_index(headers={**headers})
    assert (entry["name"], entry["state"]) == ("digits", "READY")
    stats = client.get_inference_statistics("digits", headers={**headers})["model_stats"][0]
    assert stats["name"] == "digits"


def test_tritons_http_client_gets_classes_and_sentences(stream: Stream) -> None:
    rows = triton_http.InferInput("image", [2, 1, 8, 8], "FP32")
    rows.set_data_from_numpy(pixels(2))
    wanted = [triton_http.InferRequestedOutput("probabilities", class_count=1)]
    with triton_http.InferenceServerClient(stream.place) as client:
        answer = client.infer("digits", [rows], outputs=wanted, headers={**stream.headers})
        found = [int(row[0].split(b":")[1]) for row in answer.as_numpy("probabilities")]
        assert found == truth(2)
        with pytest.raises(InferenceServerException, match="has no version '99'"):
            client.infer("digits", [rows], model_version="99", headers={**stream.headers})
        with pytest.raises(InferenceServerException, match="not loaded or unloaded here"):
            client.load_model("digits", headers={**stream.headers})
        with pytest.raises(InferenceServerException, match="presigned token is not known"):
            client.infer("digits", [rows], headers={"Authorization": "Bearer wrong"})


def curl(*arguments: str) -> Any:
    """What curl prints, parsed."""
    done = subprocess.run(["curl", "-sS", *arguments], check=True, capture_output=True, timeout=60)
    return json.loads(done.stdout)


def test_curl_infers_in_json(stream: Stream) -> None:
    data = pixels(1).ravel().tolist()
    image = {"name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": data}
    url = f"http://{stream.place}/streams/{stream.stream_id}/v2/models/digits/infer"
    auth = f"Authorization: Bearer {stream.token}"
    answer = curl(url, "-H", auth, "--json", json.dumps({"inputs": [image]}))
    assert int(np.argmax(answer["outputs"][0]["data"])) == truth(1)[0]


def test_curl_predicts_instances(stream: Stream) -> None:
    url = f"http://{stream.place}/streams/{stream.stream_id}/v1/models/digits"
    auth = f"Authorization: Bearer {stream.token}"
    assert curl(url, "-H", auth) == {"name": "digits", "ready": True}
    request = {"instances": pixels(3).tolist()}
    answer = curl(f"{url}:predict", "-H", auth, "--json", json.dumps(request))
    assert [int(np.argmax(row)) for row in answer["predictions"]] == truth(3)


@pytest.mark.parametrize("is_signed", [True, False])
def test_aws_sdk_invokes_an_endpoint(stream: Stream, is_signed: bool) -> None:  # noqa: FBT001 - a parameter
    runtime = boto3.client(
        "sagemaker-runtime",
        endpoint_url=f"http://{stream.place}/predictions/{stream.token}",
        region_name="eu-west-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(signature_version=None if is_signed else UNSIGNED),
    )
    file = digit_files()[0]
    answer = runtime.invoke_endpoint(
        EndpointName="digits", ContentType="image/png", Body=file.read_bytes()
    )
    outputs = json.loads(answer["Body"].read())["outputs"]
    assert (int(np.argmax(outputs)), answer["ContentType"]) == (truth(1)[0], "application/json")
    with pytest.raises(runtime.exceptions.ClientError, match="cannot be decoded"):
        runtime.invoke_endpoint(EndpointName="digits", ContentType="image/png", Body=b"no image")


def test_sagemakers_probes_are_answered(stream: Stream) -> None:
    url = f"http://{stream.place}/streams/{stream.stream_id}"
    ping = httpx2.get(f"{url}/ping", headers=stream.headers)
    parameters = httpx2.get(f"{url}/execution-parameters", headers=stream.headers)
    assert (ping.status_code, parameters.json()["BatchStrategy"]) == (200, "SINGLE_RECORD")
