"""The client: retries at one layer, errors as ours, files whole, lists as iterators."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import httpx2
import pytest

import hookline
from hookline import Client
from hookline.client.files import LocalFile, Skipped, replaced, walk
from hookline.client.replica import Replica
from hookline.client.wire import ATTEMPTS
from hookline.core.errors import (
    BadRequest,
    DeadlineExceeded,
    Forbidden,
    HooklineError,
    InvalidInput,
    InvalidOutput,
    NotFound,
    Overloaded,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from tests.unit.cli.fake_api import KEY, TOKEN, FakeApi, problem_response

REMOTE = "https://cloud.example/prod"


class Clock:
    """Sleeps that take no time and are remembered."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    def sleep(self, pause_s: float) -> None:
        self.slept_s.append(pause_s)


@pytest.fixture
def api() -> FakeApi:
    api = FakeApi()
    api.models[2] = {"id": 2, "name": "m", "format": "onnx", "status": "Ready"}
    api.volumes[56] = {"id": 56, "name": "tiny"}
    return api


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cloud(api: FakeApi, clock: Clock) -> Client:
    return Client("http://127.0.0.1:8700", KEY, transport=api.transport, sleep=clock.sleep)


@pytest.fixture
def remote(api: FakeApi, clock: Clock) -> Client:
    return Client(REMOTE, KEY, transport=api.transport, sleep=clock.sleep)


def busy(**headers: str) -> httpx2.Response:
    return problem_response(TooManyRequests("Slow down."), **headers)


def test_a_busy_cloud_is_asked_again_when_it_says(
    api: FakeApi, cloud: Client, clock: Clock
) -> None:
    api.script = [busy(**{"Retry-After": "7"}), problem_response(Overloaded("Full."))]

    assert cloud.model(2).name == "m"
    assert clock.slept_s[0] == 7
    assert 0.25 <= clock.slept_s[1] <= 0.5


@pytest.mark.parametrize("token", ["", "a\nb", "é", " padded "])
def test_what_cannot_be_a_token_is_refused_without_asking(
    api: FakeApi, cloud: Client, token: str
) -> None:
    with pytest.raises(Unauthenticated, match="cannot be a token"):
        cloud.predict(token, b"[1]", "application/json")

    assert not api.requests


@pytest.mark.parametrize("mime_type", ["", "a\nb: c", "é/ü"])
def test_what_cannot_be_a_mime_type_is_refused_without_asking(
    api: FakeApi, cloud: Client, mime_type: str
) -> None:
    with pytest.raises(BadRequest, match="Content-Type"):
        cloud.predict(TOKEN, b"[1]", mime_type)

    assert not api.requests


def test_a_number_that_json_lacks_is_refused_without_asking(api: FakeApi, cloud: Client) -> None:
    with pytest.raises(InvalidInput, match=r"formatter_args\.num_preds is not a finite number"):
        cloud.deploy(2, formatter_args={"num_preds": float("inf")})

    assert not api.requests


def test_patience_ends(api: FakeApi, cloud: Client, clock: Clock) -> None:
    api.script = [busy() for _ in range(ATTEMPTS)]

    with pytest.raises(TooManyRequests, match="Slow down"):
        cloud.model(2)
    assert len(api.requests) == ATTEMPTS
    assert sum(clock.slept_s) < 10


def test_an_hour_is_not_waited(api: FakeApi, cloud: Client, clock: Clock) -> None:
    api.script = [busy(**{"Retry-After": "3600"})]

    with pytest.raises(TooManyRequests):
        cloud.model(2)
    assert clock.slept_s == []


def test_a_create_is_repeated_with_the_same_idempotency_key(api: FakeApi, cloud: Client) -> None:
    api.script = [httpx2.ReadError("gone"), busy()]

    job = cloud.start_batch(2, 56)

    keys = {request.headers["Idempotency-Key"] for request in api.requests}
    assert (job.id, len(api.requests), len(keys)) == (1, 3, 1)
    cloud.start_batch(2, 56)
    assert api.requests[-1].headers["Idempotency-Key"] not in keys


def test_a_prediction_that_may_have_run_is_not_repeated(api: FakeApi, cloud: Client) -> None:
    api.script = [httpx2.ReadError("gone")]

    with pytest.raises(Unavailable):
        cloud.predict(TOKEN, b"x", "image/png")
    assert len(api.requests) == 1


def test_a_prediction_that_was_refused_is_repeated(api: FakeApi, cloud: Client) -> None:
    api.script = [busy()]

    answer = cloud.predict(TOKEN, b"x", "image/png")

    assert answer.json()["type"] == "image/png"
    assert api.requests[-1].content == b"x"


def test_a_prediction_carries_its_token_and_not_the_key(api: FakeApi, cloud: Client) -> None:
    cloud.predict(TOKEN, b"x", "image/png")

    assert api.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_nothing_listening_here_fails_at_once_and_elsewhere_is_tried_again(
    api: FakeApi, cloud: Client, remote: Client
) -> None:
    api.script = [httpx2.ConnectError("refused")] * (ATTEMPTS + 1)

    with pytest.raises(Unavailable, match="Nothing answers"):
        cloud.model(2)
    assert len(api.requests) == 1
    with pytest.raises(Unavailable):
        remote.model(2)
    assert len(api.requests) == 1 + ATTEMPTS


def test_silence_is_a_deadline(api: FakeApi, cloud: Client) -> None:
    api.script = [httpx2.ReadTimeout("slow")]

    with pytest.raises(DeadlineExceeded, match="60 s"):
        cloud.model(2)


def test_a_problem_becomes_the_error_it_was(cloud: Client) -> None:
    with pytest.raises(NotFound) as caught:
        cloud.model(9)
    assert caught.value.what == "There is no model 9."
    assert caught.value.hint == "List them with `model list`."


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (httpx2.Response(403, text="<Error>AccessDenied</Error>"), Forbidden),
        (httpx2.Response(404, json=["not", "a", "problem"]), NotFound),
        (httpx2.Response(502, text="Bad Gateway"), HooklineError),
        (httpx2.Response(409, json={"code": "from_the_future", "title": "New."}), HooklineError),
        (httpx2.Response(302, headers={"Location": "http://evil.example"}), HooklineError),
    ],
)
def test_an_answer_that_is_no_problem_keeps_its_status(
    response: httpx2.Response, kind: type[HooklineError], api: FakeApi, cloud: Client
) -> None:
    api.script = [response]

    with pytest.raises(kind) as caught:
        cloud.model(2)
    assert caught.value.status in {response.status_code, 500}
    assert len(api.requests) == 1


def test_the_servers_own_faults_name_the_request(api: FakeApi, cloud: Client) -> None:
    api.script = [
        problem_response(HooklineError("internal error")),
        problem_response(HooklineError("A hook raised.", why="KeyError: 'k'")),
    ]

    with pytest.raises(HooklineError, match="Request r-1"):
        cloud.model(2)
    with pytest.raises(HooklineError, match=r"raised\. KeyError: 'k' \(request r-1\)\."):
        cloud.model(2)


def test_an_answer_of_another_shape_is_told(api: FakeApi, cloud: Client) -> None:
    api.script = [httpx2.Response(200, text="<html>"), httpx2.Response(200, json={"id": "x"})]

    for _ in range(2):
        with pytest.raises(HooklineError, match="does not understand"):
            cloud.model(2)


def test_fields_of_a_newer_cloud_are_ignored(api: FakeApi, cloud: Client) -> None:
    api.models[2]["colour"] = "blue"

    assert cloud.model(2).id == 2


def test_a_list_is_fetched_as_it_is_taken(api: FakeApi, cloud: Client) -> None:
    api.models = {number: api.models[2] | {"id": number} for number in range(1, 6)}

    models = cloud.models()
    assert next(models).id == 1
    assert len(api.requests) == 1
    assert [model.id for model in models] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    "endpoint", ["", "localhost:8700", "ftp://x", "http://", "http://x:y", "/x"]
)
def test_a_malformed_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(BadRequest, match="not an endpoint"):
        Client(endpoint)


def test_the_endpoints_own_path_is_kept(api: FakeApi, remote: Client) -> None:
    api.script = [httpx2.Response(200, json=api.models[2])]

    remote.model(2)

    assert str(api.requests[0].url) == "https://cloud.example/prod/v1/models/2"


def test_a_model_is_sent_once_and_known_again(tmp_path: Path, api: FakeApi, cloud: Client) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"x" * 600_000)
    sent: list[int] = []

    first = cloud.import_model(path, "m", labels=["cat"], on_bytes=sent.append)
    again = cloud.import_model(path, "n")

    assert (first.labels, again.sha256) == (("cat",), first.sha256)
    assert sum(sent) == 600_000
    assert len(sent) > 1
    puts = [request for request in api.requests if request.method == "PUT"]
    assert [request.headers["Content-Length"] for request in puts] == ["600000"]


def test_a_signed_request_is_sent_again_whole(tmp_path: Path, api: FakeApi, cloud: Client) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"png")
    created = httpx2.Response(201, json={"items": [api._slot("56", {"name": "a.png"})]})
    api.script = [created, httpx2.WriteError("broken"), busy()]

    outcome = cloud.upload(56, [LocalFile("a.png", path, 3)])

    assert outcome.success == 1
    assert api.blobs == {"/blobs/56/a.png": b"png"}
    assert api.requests[-1].headers["X-Signed"] == "yes"


def test_a_thousand_files_and_more_are_asked_for_by_the_page(
    tmp_path: Path, api: FakeApi, cloud: Client
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x")
    files = (LocalFile(f"{number:04}", path, 1) for number in range(1001))

    assert cloud.upload(56, files).success == 1001
    sizes = [
        len(json.loads(request.content)["files"])
        for request in api.calls("POST", "/v1/volumes/56/uploads")
    ]
    assert sizes == [1000, 1]


def test_a_file_that_vanished_fails_alone(tmp_path: Path, cloud: Client) -> None:
    here = tmp_path / "here"
    here.write_bytes(b"x")
    files = [LocalFile("gone", tmp_path / "gone", 1), LocalFile("here", here, 1)]
    told: dict[str, str] = {}

    outcome = cloud.upload(
        56, files, on_file=lambda file, error: told.update({file.name: str(error)})
    )

    assert (outcome.success, outcome.failed) == (1, 1)
    assert "cannot be read" in told["gone"]
    assert told["here"] == "None"


def test_waiting_ends_at_its_deadline(cloud: Client, api: FakeApi, clock: Clock) -> None:
    api.jobs[21] = {"id": 21, "status": "Running", "model_id": 2, "volume_id": 56}
    api.statuses = [{"done": 1}, {"done": 2}, {"status": "Completed"}]
    seen: list[int] = []

    job = cloud.wait_for_batch(21, on_change=lambda job: seen.append(job.done))

    assert (job.has_ended, seen) == (True, [1, 2, 2])
    assert clock.slept_s == sorted(clock.slept_s)
    api.jobs[21]["status"] = "Running"
    with pytest.raises(DeadlineExceeded, match="goes on"):
        cloud.wait_for_batch(21, timeout_s=0)


def test_an_end_is_seen_soon_after_it_and_not_asked_for_all_the_time(
    cloud: Client, api: FakeApi, clock: Clock
) -> None:
    api.jobs[21] = {"id": 21, "status": "Running", "model_id": 2, "volume_id": 56}
    api.statuses = [{}] * 80 + [{"status": "Completed"}]

    cloud.wait_for_batch(21)

    waited_s = sum(clock.slept_s)
    assert waited_s > 30
    assert clock.slept_s[-1] <= 0.06 * waited_s


def test_a_vast_job_is_asked_about_less_often(cloud: Client, api: FakeApi, clock: Clock) -> None:
    api.jobs[21] = {"id": 21, "status": "Running", "model_id": 2, "volume_id": 56}
    vast = {"total": 20_000_000}
    api.statuses = [{}, vast, vast, {"total": 10**9}, {"status": "Completed"}]

    cloud.wait_for_batch(21)

    assert clock.slept_s[0] < 1
    assert clock.slept_s[1:] == [10, 10, 30]


def test_results_are_checked_and_saved_whole(tmp_path: Path, api: FakeApi, cloud: Client) -> None:
    api.jobs[21] = {"id": 21, "status": "Completed", "model_id": 2, "volume_id": 56}
    api.results[21] = b"a.png,7\n"
    target = tmp_path / "r.csv"

    assert not cloud.save_results(21, target).is_partial
    assert target.read_bytes() == b"a.png,7\n"
    api.blobs["/blobs/results/21"] = b"a.png,8\n"
    with pytest.raises(InvalidOutput, match="damaged"):
        cloud.save_results(21, target)
    assert target.read_bytes() == b"a.png,7\n"


def test_a_file_is_replaced_with_the_rights_of_a_new_one(tmp_path: Path) -> None:
    with replaced(tmp_path / "new") as file:
        file.write(b"x")
    (tmp_path / "plain").write_bytes(b"x")

    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_is_neither_file_nor_folder_is_not_walked(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(InvalidInput, match="pipe is neither a file nor a folder"):
        list(walk(tmp_path / "pipe"))


def test_a_place_that_takes_no_file_is_told_by_the_name_given() -> None:
    with pytest.raises(OSError, match="'/proc/report'"), replaced(Path("/proc/report")):
        pass


def test_a_walk_names_files_by_folder_and_says_what_it_left_out(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.png").write_bytes(b"1")
    (tmp_path / "a.png").write_bytes(b"22")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_bytes(b"x")

    assert list(walk(tmp_path)) == [
        Skipped("'.git'", "dotfile"),
        LocalFile("a.png", tmp_path / "a.png", 2),
        LocalFile("b/1.png", tmp_path / "b" / "1.png", 1),
    ]


def test_hookline_itself_is_cheap_to_import() -> None:
    code = "import hookline, sys; print('httpx2' in sys.modules, hookline.Client.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False Client\n"
    with pytest.raises(AttributeError):
        _ = hookline.Cloud


class OneAnswer(BaseHTTPRequestHandler):
    """Echoes the body; refuses to say more to whoever shows a token."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        problem = b'{"code": "invalid_input", "title": "No.", "status": 422}'
        is_good = body != b"bad" and "Authorization" not in self.headers
        self.send_response(200 if is_good else 422)
        self.send_header("Content-Type", self.headers["Content-Type"])
        self.end_headers()
        self.wfile.write(self.path.encode() + b" " + body if is_good else problem)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def replica(api: FakeApi, tmp_path: Path) -> Iterator[str]:
    """The address of what answers as a replica, which stream 1 has."""
    place = str(tmp_path / "replica.sock")
    with ThreadingUnixStreamServer(place, OneAnswer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"unix:{place}"
        elsewhere = f"unix:{tmp_path}/gone.sock"
        api.streams[1] = {
            "id": 1,
            "model_id": 2,
            "status": "Running",
            "addresses": [elsewhere, address],
        }
        yield address
        server.shutdown()
        thread.join()


def test_a_replica_here_is_asked_without_the_gateway_and_without_a_token(
    cloud: Client, replica: str
) -> None:
    with cloud.replica(1) as found:
        assert found.address == replica
        answer = found.predict(b"ok", "text/plain")
        assert (answer.body, answer.mime_type) == (b"/predict ok", "text/plain")
        with pytest.raises(InvalidInput, match="No"):
            found.predict(b"bad", "text/plain")


def test_a_replica_that_is_gone_says_what_to_do(cloud: Client, replica: str) -> None:
    Path(replica.removeprefix("unix:")).unlink()
    with Replica(replica) as gone, pytest.raises(Unavailable, match="look at the stream"):
        gone.predict(b"ok", "text/plain")
    with pytest.raises(Unavailable, match="None runs on this machine"):
        cloud.replica(1)
