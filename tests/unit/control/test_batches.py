from __future__ import annotations

from typing import Any

import pytest

from hookline.core.records import JOB_ENDS, Failure, Job, Shard
from hookline.core.topology import FINISH, PLAN, RECONCILE
from tests.fakes import FakeClock
from tests.unit.control.content import filled_volume, imported, variant
from tests.unit.control.events import Plane


def started(plane: Plane, **fields: Any) -> dict[str, Any]:
    imported(plane)
    volume_id = filled_volume(plane)
    job: dict[str, Any] = plane.made(
        "/v1/batches", {"model_id": 1, "volume_id": volume_id, **fields}
    )
    return job


def change(plane: Plane, **fields: Any) -> None:
    job = plane.ports.catalog.get(Job, "a", 1)
    assert job is not None
    plane.ports.catalog.put(job.changed(**fields))


def test_a_job_is_received_and_shown(plane: Plane) -> None:
    job = started(plane, formatter="classification", formatter_args={"num_preds": 2})

    assert job == {
        "id": 1,
        "status": "Received",
        "model_id": 1,
        "volume_id": 1,
        "total": 0,
        "done": 0,
        "succeeded": 0,
        "failed": 0,
        "trigger_id": None,
        "retry_of": None,
        "split": "files",
        "has_header": False,
        "output_format": "csv",
        "include": [],
        "joins_input": False,
        "notify": "",
        "left_out": {},
        "notice": None,
        "failure": None,
        "bundle": None,
        "custom_code": None,
        "formatter": "classification",
        "formatter_args": {"num_preds": 2},
        "decoder": "pillow",
        "padding": None,
        "device": "cpu",
        "gpus": 0,
        "created_at": "2023-11-14T22:13:20Z",
        "updated_at": "2023-11-14T22:13:20Z",
    }
    assert plane.shown("/v1/batches/1") == job
    assert plane.shown("/v1/batches")["items"] == [job]


def test_a_new_job_is_planned_and_workers_are_called(plane: Plane) -> None:
    started(plane)

    assert plane.take(PLAN) == [{"tenant": "a", "job_id": 1}]
    assert plane.take(RECONCILE) == [{}]


def test_progress_follows_the_shards(plane: Plane) -> None:
    started(plane)
    change(plane, status="Running", total=30, shards=3)
    for index, is_done in enumerate((True, True, False)):
        plane.ports.catalog.put(
            Shard(
                tenant="a",
                job_id=1,
                index=index,
                first=index * 10,
                count=10,
                is_done=is_done,
                succeeded=8 if is_done else 5,
                failed=2 if is_done else 0,
            )
        )

    job = plane.shown("/v1/batches/1")

    assert (job["total"], job["done"], job["succeeded"], job["failed"]) == (30, 20, 16, 4)


def test_an_ended_job_shows_its_final_counts(plane: Plane) -> None:
    started(plane)
    change(plane, status="CompletedWithErrors", total=3, shards=1, succeeded=2, failed=1)

    job = plane.shown("/v1/batches/1")

    assert (job["done"], job["succeeded"], job["failed"]) == (3, 2, 1)


@pytest.mark.parametrize("status", ["Received", "Queued", "Running"])
def test_a_job_that_has_not_ended_is_stopped(plane: Plane, status: str) -> None:
    started(plane)
    change(plane, status=status)

    answer = plane("POST", "/v1/batches/1/stop")

    assert (answer.status, answer.body) == (202, {"id": 1, "status": "Stopping"})
    assert answer.headers["Location"] == "/v1/batches/1"
    assert plane.shown("/v1/batches/1")["status"] == "Stopping"
    assert plane.take(FINISH) == [{"tenant": "a", "job_id": 1}]


@pytest.mark.parametrize("status", ["Stopping", *sorted(JOB_ENDS)])
def test_stopping_what_has_stopped_changes_nothing(plane: Plane, status: str) -> None:
    started(plane)
    change(plane, status=status)

    answer = plane("POST", "/v1/batches/1/stop")

    assert (answer.status, answer.body["status"]) == (202, status)
    assert plane.take(FINISH) == []


def test_stopping_never_turns_the_clock_back(plane: Plane, clock: FakeClock) -> None:
    started(plane)
    clock.advance(-3600)

    plane("POST", "/v1/batches/1/stop")

    assert plane.shown("/v1/batches/1")["updated_at"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize("status", ["Received", "Running", "Stopping"])
def test_results_are_refused_until_the_end(plane: Plane, status: str) -> None:
    started(plane)
    change(plane, status=status)

    answer = plane("GET", "/v1/batches/1/results")

    assert (answer.status, answer.body["code"]) == (409, "conflict")
    assert status in answer.body["detail"]


@pytest.mark.parametrize(("status", "is_partial"), [("Completed", False), ("Stopped", True)])
def test_results_say_where_to_fetch_them(
    plane: Plane,
    status: str,
    is_partial: bool,  # noqa: FBT001 - pytest passes it
) -> None:
    started(plane)
    change(
        plane,
        status=status,
        results_key="a/jobs/1/results.csv",
        results_sha256="5a",
        results_size_bytes=7,
    )

    shown = plane.shown("/v1/batches/1/results")

    request = shown.pop("request")
    assert shown == {
        "id": 1,
        "status": status,
        "is_partial": is_partial,
        "size_bytes": 7,
        "sha256": "5a",
    }
    assert request["method"] == "GET"
    assert "results.csv" in request["url"]


def test_a_failed_job_has_no_results_and_says_why(plane: Plane) -> None:
    started(plane)
    failure = Failure(code="not_found", message="There is no model 1.")
    change(plane, status="Failed", failure=failure)

    answer = plane("GET", "/v1/batches/1/results")

    assert (answer.status, answer.body["detail"]) == (409, "There is no model 1.")
    assert plane.shown("/v1/batches/1")["failure"]["code"] == "not_found"


def test_a_job_that_is_not_there_is_named(plane: Plane) -> None:
    for method, path in [
        ("GET", "/v1/batches/7"),
        ("POST", "/v1/batches/7/stop"),
        ("GET", "/v1/batches/7/results"),
    ]:
        answer = plane(method, path)
        assert (answer.status, answer.body["title"]) == (404, "There is no job 7.")


def test_a_job_needs_its_model_and_its_volume(plane: Plane) -> None:
    imported(plane)
    volume_id = filled_volume(plane)

    for model_id, wanted_id in ((9, volume_id), (1, 9)):
        body = {"model_id": model_id, "volume_id": wanted_id}
        answer = plane("POST", "/v1/batches", body)
        assert answer.status == 404
        assert "9" in answer.body["title"]
    assert plane("POST", "/v1/batches", {"model_id": 1}).status == 422


def ended(plane: Plane, **fields: Any) -> None:
    started(plane, formatter="classification", formatter_args={"num_preds": 2})
    counts = {"total": 3, "shards": 1, "succeeded": 2, "failed": 1}
    change(plane, **{"status": "CompletedWithErrors", **counts, **fields})
    plane.take(PLAN)


def test_a_retry_is_a_job_like_the_one_before(plane: Plane) -> None:
    ended(plane)

    job = plane.made("/v1/batches/1/retry", {})

    assert (job["id"], job["status"], job["retry_of"]) == (2, "Received", 1)
    assert (job["model_id"], job["volume_id"]) == (1, 1)
    assert (job["formatter"], job["formatter_args"]) == ("classification", {"num_preds": 2})
    assert plane.take(PLAN) == [{"tenant": "a", "job_id": 2}]


def test_a_retry_may_have_other_code(plane: Plane) -> None:
    ended(plane)
    code = {"url": "https://git.example/mended.git", "commit": "main"}

    job = plane.made("/v1/batches/1/retry", {"custom_code": code, "formatter": "raw", "gpus": 1})

    assert (job["custom_code"], job["formatter"], job["formatter_args"]) == (code, "raw", {})
    assert (job["device"], job["gpus"]) == ("gpu", 1)
    assert plane.made("/v1/batches/1/retry", {})["custom_code"] is None


def test_the_same_retry_twice_is_one_job(plane: Plane) -> None:
    ended(plane)
    key = {"idempotency-key": "once"}

    first, second = (plane.made("/v1/batches/1/retry", {}, headers=key) for _ in range(2))

    assert first["id"] == second["id"] == 2


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"status": "Running"}, "has not ended"),
        ({"status": "Failed"}, "no rows to go on from"),
        ({"status": "Stopped", "shards": 0, "total": 0}, "no rows to go on from"),
        ({"status": "Completed", "succeeded": 3, "failed": 0}, "no failed rows"),
        ({"status": "Stopped", "succeeded": 3, "failed": 0}, "no failed rows"),
    ],
)
def test_a_job_without_failed_rows_is_not_retried(
    plane: Plane, fields: dict[str, Any], why: str
) -> None:
    ended(plane, **fields)

    answer = plane("POST", "/v1/batches/1/retry", {})

    assert (answer.status, answer.body["code"]) == (409, "conflict")
    assert why in answer.body["title"]
    assert answer.body["hint"]


def test_a_stopped_job_may_be_retried_for_the_rows_it_lacks(plane: Plane) -> None:
    ended(plane, status="Stopped", succeeded=2, failed=0)

    assert plane.made("/v1/batches/1/retry", {})["retry_of"] == 1


def test_the_shape_of_a_jobs_rows_is_kept_and_a_retry_has_the_same(plane: Plane) -> None:
    shape = {
        "split": "lines",
        "has_header": True,
        "output_format": "jsonl",
        "include": ["timing", "error"],
        "joins_input": True,
    }
    job = started(plane, **shape)
    change(plane, status="CompletedWithErrors", total=3, shards=1, succeeded=2, failed=1)

    again = plane.made("/v1/batches/1/retry", {})

    for shown in (job, again):
        assert {name: shown[name] for name in shape} == shape


def test_what_is_for_records_is_refused_for_files(plane: Plane) -> None:
    imported(plane)
    asked = {"model_id": 1, "volume_id": filled_volume(plane)}

    for wrong in ({"joins_input": True}, {"has_header": True}, {"include": ["rows"]}):
        assert plane("POST", "/v1/batches", {**asked, **wrong}).status == 422


def test_parquet_is_refused_where_it_is_not_installed(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert started(plane, output_format="parquet")["output_format"] == "parquet"
    monkeypatch.setattr("hookline.core.extras.find_spec", lambda _: None)
    body = {"model_id": 1, "volume_id": 1, "output_format": "parquet"}

    answer = plane("POST", "/v1/batches", body)

    assert answer.status == 422
    assert "Install hookline[parquet]" in answer.body["hint"]


def test_a_variant_below_its_bound_predicts_a_volume_by_force_alone(plane: Plane) -> None:
    body = {"model_id": variant(plane, 0.5), "volume_id": filled_volume(plane)}

    refused = plane("POST", "/v1/batches", body)

    assert refused.status == 409
    assert "in int4 answers like its original on 50 % of 100" in refused.body["title"]
    assert "--force" in refused.body["hint"]
    assert plane.shown("/v1/batches")["items"] == []
    assert plane("POST", "/v1/batches", body | {"force": True}).status == 201


def test_a_forced_job_is_tried_again_without_force(plane: Plane) -> None:
    model_id = variant(plane, 0.5)
    volume_id = filled_volume(plane)
    plane.made("/v1/batches", {"model_id": model_id, "volume_id": volume_id, "force": True})
    change(plane, status="CompletedWithErrors", total=1, failed=1)

    assert plane("POST", "/v1/batches/1/retry", {}).status == 201
