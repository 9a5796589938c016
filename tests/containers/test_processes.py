"""The processes of the image: started as ECS starts them, asked as clients ask, drained."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from hookline.adapters.aws.tasks import end_of
from hookline.batch import plan, shards
from hookline.core.endings import EXIT_START_FAILED, EXIT_TRY_AGAIN
from hookline.core.records import Bundle, Job, Replica, Serving, Shard, Volume
from hookline.core.topology import FINISH, SHARDS
from tests.containers.throttling import throttled
from tests.containers.world import TENANT, Account, Container, account
from tests.ecs_agent import agent
from tests.polling import until

SLOW = """
import time

def init(prm):
    return object()

def preprocess(input, model):
    return input

def predict(data, model):
    print("predicting", flush=True)
    if data.startswith(b"sleep "):
        time.sleep(float(data.split()[1]))
    return data

def postprocess(output, raw_input):
    return output.upper()
"""


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with account(tmp_path_factory.mktemp("account")) as made:
        yield made


@pytest.fixture(scope="module")
def echo(tenant: Account) -> str:
    """Stream 1, whose hooks answer in capitals; its token."""
    return tenant.stream(1, tenant.model(tenant.identity(), 1), SLOW)


@pytest.fixture
def replica(tenant: Account, echo: str) -> Iterator[Container]:
    del echo
    with tenant.container("stream", group="stream-1") as container:
        until(container.answers, 60)
        yield container


def failure_told(container: Container) -> tuple[str, str, str]:
    """Code, message and trace, as the fleet reads them from the log of a task that ended."""
    task = {"containers": [{"exitCode": container.ended()}]}
    failure = end_of(task, container.log)  # type: ignore[arg-type]  # the part that is read
    return failure.code, failure.message, failure.trace


# --- stream --------------------------------------------------------------------------------


def test_a_replica_finds_its_stream_and_answers(replica: Container) -> None:
    answer = httpx2.post(f"{replica.url}/predict", content=b"hello", timeout=20)

    assert (answer.status_code, answer.content) == (200, b"HELLO")


def test_a_replica_answers_what_was_sent_before_it_ends(replica: Container) -> None:
    with ThreadPoolExecutor() as pool:
        call = pool.submit(httpx2.post, f"{replica.url}/predict", content=b"sleep 1.5", timeout=30)
        until(lambda: "predicting" in replica.log, 30)
        replica.popen.send_signal(signal.SIGTERM)
        replica.wait_until("replica_draining")

        assert call.result().content == b"SLEEP 1.5"
    assert replica.ended() == 0


def test_user_code_has_no_settings_and_no_credentials_in_its_environment(tenant: Account) -> None:
    hooks = SLOW.replace("return output.upper()", "import os; return repr(sorted(os.environ))")
    tenant.stream(2, tenant.model(tenant.identity(), 2), hooks)
    with tenant.container("stream", group="stream-2") as container:
        until(container.answers, 60)
        answer = httpx2.post(f"{container.url}/predict", content=b"x", timeout=20)

    assert "PATH" in answer.text
    for ours in ("AWS_", "ECS_", "HOOKLINE_TABLE", "HOOKLINE_BUCKET"):
        assert ours not in answer.text


def test_a_model_that_is_not_the_imported_one_is_refused_with_the_reason(tenant: Account) -> None:
    model = tenant.model(tenant.identity() + b"\x00", 3)
    tenant.ports.blobs.put(model.blob_key, b"another")
    tenant.stream(3, model)
    with tenant.container("stream", group="stream-3") as container:
        code, message, _ = failure_told(container)

        assert container.ended() == EXIT_START_FAILED
    assert code == "model_load_failed"
    assert "model 3 is not the one that was imported" in message


def test_hooks_that_do_not_import_are_told_with_their_traceback(tenant: Account) -> None:
    tenant.stream(4, tenant.model(tenant.identity(), 4), "import nothing_of_that_name")
    with tenant.container("stream", group="stream-4") as container:
        code, _, trace = failure_told(container)

        assert container.ended() == EXIT_START_FAILED
    assert code in ("hook_failed", "model_load_failed")
    assert "nothing_of_that_name" in trace


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("stream-99", "no stream 99"),
        ("other", "not one of a stream"),
        ("", "no group of the fleet"),
    ],
)
def test_a_replica_of_nothing_ends_and_says_so(tenant: Account, group: str, words: str) -> None:
    with tenant.container("stream", group=group) as container:
        code, message, _ = failure_told(container)

    assert code == "not_found"
    assert words in message


def test_a_replica_is_patient_with_an_aws_that_throttles(tenant: Account, echo: str) -> None:
    del echo
    with (
        throttled(tenant.endpoint, refusals=5) as (endpoint, left),
        tenant.container("stream", group="stream-1", AWS_ENDPOINT_URL=endpoint) as container,
    ):
        until(container.answers, 60)
        assert container.said("start_delayed")
    assert left == []


def test_a_replica_that_aws_keeps_from_starting_asks_for_another_try(tenant: Account) -> None:
    with (
        agent({"not": "a task"}) as endpoint,
        tenant.container(
            "stream", group="stream-1", ECS_CONTAINER_METADATA_URI_V4=endpoint
        ) as container,
    ):
        assert container.ended() == EXIT_TRY_AGAIN
        assert [line["code"] for line in container.events] == ["unavailable"]


# --- worker --------------------------------------------------------------------------------


def submitted(tenant: Account, job_id: int, bodies: list[bytes]) -> list[Shard]:
    """A job that is planned, with its shards in the queue; the volume has its number."""
    volume = tenant.ports.catalog.put(Volume(tenant=TENANT, id=job_id, name="v", created_at=0.0))
    for number, body in enumerate(bodies):
        tenant.ports.blobs.put(f"{volume.prefix}{number:03d}.txt", body)
    bundle = Bundle(sha256=tenant.upload(SLOW.encode()), filename="hooks.py")
    model = tenant.model(tenant.identity(), 100 + job_id)
    job = tenant.ports.catalog.put(
        Job(
            tenant=TENANT,
            id=job_id,
            model_id=model.id,
            volume_id=volume.id,
            serving=Serving(bundle=bundle),
            created_at=0.0,
            updated_at=0.0,
        )
    )
    message = json.dumps({"tenant": TENANT, "job_id": job_id})
    plan.build(tenant.ports)({"Records": [{"messageId": "1", "body": message}]}, None)
    return list(shards.of_job(tenant.ports.catalog, job))


def outputs(tenant: Account, shard: Shard) -> list[str]:
    """What the part of a shard says of its files."""
    with tenant.ports.blobs.open(shard.part_key) as part:
        return [line.decode() for line in part]


def is_done(tenant: Account, shard: Shard) -> bool:
    found = tenant.ports.catalog.get(Shard, TENANT, shard.key)
    return found is not None and found.is_done


def test_a_worker_does_a_shard_and_calls_the_finisher(tenant: Account) -> None:
    [shard] = submitted(tenant, 11, [b"one", b"two"])
    with tenant.container("worker") as container:
        until(lambda: container.said("worker_ready") and is_done(tenant, shard), 90)
        until(lambda: tenant.ports.queue.depth(SHARDS) == 0)
        container.popen.send_signal(signal.SIGTERM)

        assert container.ended() == 0
        assert container.said("worker_drained")
    part = outputs(tenant, shard)
    assert [("ONE" in part[0]), ("TWO" in part[1]), len(part)] == [True, True, 2]
    assert tenant.ports.queue.receive(FINISH, 10, lease_s=1)


@pytest.mark.parametrize(("cpus", "setting", "workers"), [(1, "0", 1), (0.25, "0", 1), (1, "3", 3)])
def test_a_worker_keeps_as_many_shards_in_hand_as_its_task_has_cpus(
    tenant: Account, cpus: float, setting: str, workers: int
) -> None:
    with tenant.container("worker", cpus=cpus, HOOKLINE_WORKERS=setting) as container:
        container.wait_until("worker_ready")
        [ready] = [event for event in container.events if event["event"] == "worker_ready"]
        container.popen.send_signal(signal.SIGTERM)

        assert container.ended() == 0
    assert ready["workers"] == workers


def test_a_worker_that_is_to_end_gives_its_shard_back(tenant: Account) -> None:
    [shard] = submitted(tenant, 12, [b"sleep 2"] * 10)
    with tenant.container("worker") as container:
        until(lambda: "predicting" in container.log, 90)
        container.popen.send_signal(signal.SIGTERM)

        assert container.ended() == 0
    assert not is_done(tenant, shard)
    leases = tenant.ports.queue.receive(SHARDS, 10, lease_s=1)
    assert [json.loads(lease.body)["job_id"] for lease in leases] == [12]
    for lease in leases:
        tenant.ports.queue.ack(lease)


# --- gateway -------------------------------------------------------------------------------


@pytest.fixture
def gateway(tenant: Account) -> Iterator[Container]:
    with tenant.container("gateway") as container:
        until(container.answers, 60)
        yield container


def test_the_gateway_routes_to_a_replica(
    tenant: Account, echo: str, replica: Container, gateway: Container
) -> None:
    tenant.publish(1, replica)
    headers = {"authorization": f"Bearer {echo}"}
    for path in ("/predict", "/streams/1/predict", f"/predictions/{echo}"):
        sent = {} if path.startswith("/predictions") else headers
        answer = httpx2.post(f"{gateway.url}{path}", content=b"hello", headers=sent, timeout=30)

        assert (answer.status_code, answer.content) == (200, b"HELLO")
    assert httpx2.post(f"{gateway.url}/predict", content=b"x").status_code == 401
    assert httpx2.get(f"{gateway.url}/v1/models").status_code == 404
    retire(tenant)


def test_the_gateway_answers_what_was_sent_and_looks_unready_while_it_drains(
    tenant: Account, echo: str, replica: Container, gateway: Container
) -> None:
    tenant.publish(1, replica)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(
            httpx2.post, f"{gateway.url}/predictions/{echo}", content=b"sleep 8", timeout=60
        )
        until(lambda: "predicting" in replica.log, 30)
        gateway.popen.send_signal(signal.SIGTERM)
        gateway.wait_until("gateway_draining")
        ping = httpx2.get(f"{gateway.url}/ping")
        late = httpx2.get(f"{gateway.url}/nothing")

        assert (ping.status_code, ping.headers["connection"]) == (503, "close")
        assert late.status_code == 404
        assert (call.result().status_code, call.result().content) == (200, b"SLEEP 8")
    assert gateway.ended() == 0
    retire(tenant)


def retire(tenant: Account) -> None:
    for replica in tenant.ports.catalog.query(Replica, TENANT).items:
        tenant.ports.catalog.delete(replica)


# --- start ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gateway", "stream", "worker"])
def test_a_setting_that_is_unknown_stops_every_process(tenant: Account, kind: str) -> None:
    with tenant.container(kind, HOOKLINE_COLOUR="red") as container:
        assert container.ended() == EXIT_START_FAILED
        assert "HOOKLINE_COLOUR is not a setting" in container.log
