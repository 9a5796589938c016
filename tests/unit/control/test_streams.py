from __future__ import annotations

from typing import Any

import pytest

from hookline.core.records import (
    PLATFORM,
    Credential,
    Replica,
    Stream,
)
from hookline.core.secrets import digest
from hookline.core.topology import RECONCILE
from tests.fakes import FakeFleet
from tests.unit.control.content import (
    HOOKS,
    deployed,
    filled_volume,
    imported,
    onnx_bytes,
    uploaded,
    variant,
    zipped,
)
from tests.unit.control.events import OTHER, Plane

REPOSITORY = "https://github.com/owner/name.git"


def credential(plane: Plane, token: str) -> Credential | None:
    return plane.ports.catalog.get(Credential, PLATFORM, digest(token))


def test_a_deployment_answers_at_once_with_a_token(plane: Plane) -> None:
    imported(plane)

    answer = plane("POST", "/v1/streams", {"model_id": 1, "replicas": 2})

    assert answer.status == 201
    assert answer.headers["Location"] == "/v1/streams/1"
    token = answer.body.pop("presigned_token")
    assert answer.body == {
        "id": 1,
        "model_id": 1,
        "status": "Deploying",
        "bundle": None,
        "custom_code": None,
        "formatter": "raw",
        "formatter_args": {},
        "decoder": "pillow",
        "padding": None,
        "device": "cpu",
        "gpus": 0,
        "replicas": 2,
        "ready_replicas": 0,
        "addresses": [],
        "min_replicas": 2,
        "max_replicas": 2,
        "target_in_flight": 8,
        "edition": 1,
        "failure": None,
        "created_at": "2023-11-14T22:13:20Z",
        "updated_at": "2023-11-14T22:13:20Z",
    }
    assert plane.shown("/v1/streams/1") == answer.body
    assert plane.shown("/v1/streams")["items"] == [answer.body]
    found = credential(plane, token)
    assert found is not None
    assert (found.owner, found.stream_id) == ("a", 1)


def test_a_deployment_calls_the_reconciler(plane: Plane) -> None:
    deployed(plane)

    assert plane.take(RECONCILE) == [{"tenant": "a", "stream_id": 1}]


def test_a_token_is_not_stored(plane: Plane) -> None:
    token = deployed(plane)["presigned_token"]

    for kind in (Stream, Credential):
        for tenant in ("a", PLATFORM):
            for record in plane.ports.catalog.query(kind, tenant).items:
                assert token not in record.model_dump_json()


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, (1, 1, 1)),
        ({"min_replicas": 0}, (0, 1, 1)),
        ({"max_replicas": 4}, (1, 4, 1)),
        ({"min_replicas": 2}, (2, 2, 2)),
        ({"min_replicas": 2, "max_replicas": 4}, (2, 4, 2)),
    ],
)
def test_limits_of_replicas_fill_each_other_in(
    plane: Plane, fields: dict[str, int], shown: tuple[int, ...]
) -> None:
    stream = deployed(plane, **fields)

    names = ("min_replicas", "max_replicas", "replicas")
    assert tuple(stream[name] for name in names) == shown


def test_ready_replicas_are_counted(plane: Plane) -> None:
    deployed(plane)
    for process_id in ("p1", "p2"):
        plane.ports.catalog.put(
            Replica(
                tenant="a", stream_id=1, process_id=process_id, address="unix:/x", started_at=1.0
            )
        )

    assert plane.shown("/v1/streams/1")["ready_replicas"] == 2


def test_only_addresses_on_this_machine_are_told_and_only_to_their_tenant(plane: Plane) -> None:
    deployed(plane)
    for process_id, address in (("p1", "unix:/run/1"), ("p2", "http://10.0.0.7:8080")):
        plane.ports.catalog.put(
            Replica(tenant="a", stream_id=1, process_id=process_id, address=address, started_at=1.0)
        )
    plane.ports.catalog.put(
        Replica(tenant="b", stream_id=1, process_id="p3", address="unix:/run/3", started_at=1.0)
    )

    assert plane.shown("/v1/streams/1")["addresses"] == ["unix:/run/1"]
    assert plane("GET", "/v1/streams/1", who=OTHER).status == 404


@pytest.mark.parametrize("filename", ["hooks.py", "inference.py", "bundle.zip"])
def test_hook_files_are_stored_with_the_stream(plane: Plane, filename: str) -> None:
    data = zipped(inference=HOOKS) if filename.endswith(".zip") else HOOKS
    sha256 = uploaded(plane, data)

    stream = deployed(plane, bundle={"sha256": sha256, "filename": filename})

    assert stream["bundle"] == {"sha256": sha256, "filename": filename, "volume_id": None}


def test_hook_files_may_lie_in_a_volume(plane: Plane) -> None:
    volume_id = filled_volume(plane, ["inference.py", "labels.txt"])

    stream = deployed(plane, bundle={"volume_id": volume_id})

    assert stream["bundle"]["volume_id"] == volume_id


def test_a_repository_is_stored_with_the_stream(plane: Plane) -> None:
    tagged = {"url": REPOSITORY, "commit": "v1"}

    assert deployed(plane, custom_code=tagged)["custom_code"] == tagged
    by_default = deployed(plane, model_id=1, custom_code={"url": REPOSITORY})["custom_code"]
    assert by_default == {"url": REPOSITORY, "commit": ""}
    assert plane.shown("/v1/streams/1")["custom_code"] == tagged


def refused(plane: Plane, **fields: Any) -> dict[str, Any]:
    imported(plane)
    answer = plane("POST", "/v1/streams", {"model_id": 1, **fields})
    assert answer.status in (404, 422), answer
    assert plane.shown("/v1/streams")["items"] == []
    problem: dict[str, Any] = answer.body
    return problem


def test_a_volume_without_hooks_is_refused(plane: Plane) -> None:
    volume_id = filled_volume(plane, ["1.png"])

    problem = refused(plane, bundle={"volume_id": volume_id})

    assert problem["code"] == "invalid_bundle"
    assert "has no inference.py" in problem["title"]


def test_a_bundle_that_is_not_uploaded_is_refused(plane: Plane) -> None:
    problem = refused(plane, bundle={"sha256": "0" * 64, "filename": "hooks.py"})

    assert problem["status"] == 404
    assert "hooks.py is not uploaded" in problem["title"]


@pytest.mark.parametrize(
    ("filename", "data"),
    [
        ("b.zip", b"not a zip"),
        ("b.zip", zipped(other=HOOKS)),
        ("b.zip", zipped(**{"..__inference": HOOKS})),
        ("b.tar", b"anything"),
    ],
    ids=["no zip", "no hooks", "climbing", "tar"],
)
def test_a_bundle_that_could_never_run_is_refused(plane: Plane, filename: str, data: bytes) -> None:
    problem = refused(plane, bundle={"sha256": uploaded(plane, data), "filename": filename})

    assert (problem["status"], problem["code"]) == (422, "invalid_bundle")


@pytest.mark.parametrize(
    "bundle",
    [{}, {"sha256": "0" * 64}, {"filename": "a.py"}, {"volume_id": 1, "filename": "a.py"}],
)
def test_half_a_bundle_is_refused(plane: Plane, bundle: dict[str, Any]) -> None:
    assert "either sha256 and filename, or volume_id" in refused(plane, bundle=bundle)["detail"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"formatter": "xml"}, "formatter"),
        ({"formatter_args": {"colour": 1}}, "no argument 'colour'"),
        ({"formatter_args": {"format_as": "xml"}}, "json, csv, tsv"),
        ({"formatter": "classification", "formatter_args": {"num_preds": 0}}, "num_preds = 0"),
        ({"formatter": "classification", "formatter_args": {"label": True}}, "labels"),
        ({"formatter": "classification", "formatter_args": {"index": 1}}, "true or false"),
        ({"replicas": 0}, "replicas"),
        ({"min_replicas": 2, "max_replicas": 1}, "min_replicas is at most max_replicas"),
        ({"max_replicas": 0}, "max_replicas"),
        ({"replicas": 2, "max_replicas": 3}, "either"),
        ({"target_in_flight": 0}, "target_in_flight"),
        ({"replicas": 33}, "replicas"),
        ({"decoder": "opencv"}, "decoder"),
        ({"padding": {"buckets": []}}, "padding.buckets"),
        ({"padding": {"buckets": [16, 8]}}, "buckets ascend"),
        ({"padding": {"buckets": [0]}}, "padding.buckets[0] must be"),
        ({"padding": {"buckets": [8], "value": 1}}, "padding.value"),
        ({"padding": {"buckets": [8]}}, "no input of variable size"),
        ({"gpus": 9}, "gpus"),
        ({"gpus": -1}, "gpus"),
        ({"device": "cpu", "gpus": 1}, "GPUs"),
        ({"device": "tpu"}, "device"),
        ({"color": "red"}, "color"),
        ({"custom_code": {"commit": "main"}}, "custom_code.url"),
        ({"custom_code": {"url": "http://github.com/a/b"}}, "Only https:// is fetched."),
        ({"custom_code": {"url": REPOSITORY, "commit": "a..b"}}, "'a..b'"),
        ({"custom_code": {"url": REPOSITORY, "branch": "main"}}, "branch"),
    ],
)
def test_what_a_stream_cannot_have_is_refused(
    plane: Plane, fields: dict[str, Any], words: str
) -> None:
    problem = refused(plane, **fields)

    assert problem["status"] == 422
    assert words in f"{problem['title']} {problem.get('detail', '')} {problem.get('hint', '')}"


def test_labels_can_be_answered_by_a_model_that_has_them(plane: Plane) -> None:
    model = imported(plane, onnx_bytes(), labels=[str(i) for i in range(10)])

    stream = deployed(
        plane,
        model_id=model["id"],
        formatter="classification",
        formatter_args={"label": True, "num_preds": 3},
    )

    assert stream["formatter_args"] == {"label": True, "num_preds": 3}


def test_the_padding_is_recorded_with_the_stream(plane: Plane) -> None:
    model = imported(plane, onnx_bytes((None, None), (None, None)))
    padding = {"buckets": [16, 32], "axis": "T", "values": {"x": 1.0}}
    stream = deployed(plane, model_id=model["id"], padding=padding)

    assert stream["padding"] == padding
    assert plane.shown(f"/v1/streams/{stream['id']}")["padding"] == padding
    wrong = {"buckets": [16], "values": {"y": 1.0}}
    answer = plane("POST", "/v1/streams", {"model_id": model["id"], "padding": wrong})
    assert (answer.status, "'y'" in answer.body["title"]) == (422, True)


def test_the_decoder_is_recorded_with_the_stream(plane: Plane) -> None:
    imported(plane)
    assert deployed(plane, model_id=1, decoder="simplejpeg")["decoder"] == "simplejpeg"
    assert plane.shown("/v1/streams/1")["decoder"] == "simplejpeg"


@pytest.mark.parametrize(
    ("fields", "device", "gpus"),
    [({"gpus": 2}, "gpu", 2), ({"device": "gpu"}, "gpu", 1), ({"device": "cpu"}, "cpu", 0)],
)
def test_gpus_and_device_complete_each_other(
    plane: Plane, fields: dict[str, Any], device: str, gpus: int
) -> None:
    stream = deployed(plane, **fields)

    assert (stream["device"], stream["gpus"]) == (device, gpus)


def test_a_model_that_is_not_there_cannot_be_deployed(plane: Plane) -> None:
    answer = plane("POST", "/v1/streams", {"model_id": 5})

    assert (answer.status, answer.body["title"]) == (404, "There is no model 5.")


def test_a_stream_that_is_not_there_is_named(plane: Plane) -> None:
    for method, path in [
        ("GET", "/v1/streams/7"),
        ("DELETE", "/v1/streams/7"),
        ("GET", "/v1/streams/7/logs"),
        ("GET", "/v1/streams/7/traffic"),
        ("POST", "/v1/streams/7/tokens"),
    ]:
        answer = plane(method, path)
        assert (answer.status, answer.body["title"]) == (404, "There is no stream 7.")


@pytest.mark.parametrize(
    "status", ["Deploying", "Running", "Updating", "Failed", "Undeploying", "Undeployed"]
)
def test_a_stream_is_undeployed_from_every_state_and_its_tokens_end(
    plane: Plane, status: str
) -> None:
    token = deployed(plane)["presigned_token"]
    stream = plane.ports.catalog.get(Stream, "a", 1)
    assert stream is not None
    plane.ports.catalog.put(stream.changed(status=status))

    answer = plane("DELETE", "/v1/streams/1")

    expected = "Undeployed" if status == "Undeployed" else "Undeploying"
    assert (answer.status, answer.body) == (202, {"id": 1, "status": expected})
    assert credential(plane, token) is None


def test_undeploying_twice_is_as_good_as_once(plane: Plane) -> None:
    deployed(plane)

    assert [plane("DELETE", "/v1/streams/1").status for _ in range(2)] == [202, 202]


def test_the_log_is_shown_from_a_position_on_without_secrets(
    plane: Plane, fleet: FakeFleet
) -> None:
    token = deployed(plane)["presigned_token"]
    fleet.say("a", "stream-1", "loading")
    fleet.say("a", "stream-1", f"called with {token}")

    shown = plane.shown("/v1/streams/1/logs")

    assert shown == {"lines": ["loading", f"called with {token[:4]}…{token[-4:]}"], "after": 2}
    assert plane.shown("/v1/streams/1/logs?after=2") == {"lines": [], "after": 2}
    assert plane("GET", "/v1/streams/1/logs?after=-1").status == 422


def test_a_rotated_token_replaces_the_older_ones(plane: Plane) -> None:
    older = deployed(plane)["presigned_token"]

    answer = plane("POST", "/v1/streams/1/tokens")

    assert answer.status == 201
    newer = answer.body["presigned_token"]
    assert credential(plane, older) is None
    assert credential(plane, newer) is not None


def test_a_stream_that_is_leaving_gets_no_token(plane: Plane) -> None:
    deployed(plane)
    plane("DELETE", "/v1/streams/1")

    assert plane("POST", "/v1/streams/1/tokens").status == 409


def test_a_model_is_deployed_many_times_with_different_formatters(plane: Plane) -> None:
    imported(plane)

    first = deployed(plane, model_id=1)
    second = deployed(plane, model_id=1, formatter="classification")

    assert (first["id"], second["id"]) == (1, 2)
    assert first["presigned_token"] != second["presigned_token"]
    assert second["formatter"] == "classification"


def test_a_variant_below_its_bound_is_deployed_by_force_alone(plane: Plane) -> None:
    model_id = variant(plane, 0.9896)

    answer = plane("POST", "/v1/streams", {"model_id": model_id})

    assert answer.status == 409
    assert "in int4 answers like its original on 98.9 % of 100" in answer.body["title"]
    assert "--force" in answer.body["hint"]
    assert plane.shown("/v1/streams")["items"] == []
    assert plane("POST", "/v1/streams", {"model_id": model_id, "force": True}).status == 201


def test_a_variant_at_its_bound_is_deployed(plane: Plane) -> None:
    body = {"model_id": variant(plane, 0.99)}
    assert plane("POST", "/v1/streams", body).status == 201


def test_a_stream_gets_a_variant_below_its_bound_by_force_alone(plane: Plane) -> None:
    stream = deployed(plane)
    catalog = plane.ports.catalog
    found = catalog.get(Stream, "a", stream["id"])
    assert found
    catalog.put(found.changed(status="Running"))
    path, body = f"/v1/streams/{stream['id']}", {"model_id": variant(plane, 0.5)}

    assert plane("PATCH", path, body).status == 409
    assert plane("PATCH", path, body | {"force": True}).status == 202
    assert plane("PATCH", path, {"replicas": 2}).status == 202  # it has it already
