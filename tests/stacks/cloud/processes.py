"""What runs in ECS tasks, as the principals of their roles: replicas, batch workers, the gateway.

They do what `hookline.container` does, step by step in this process; models and hooks run in
processes of their own, as there.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from hookline.adapters.aws import upload, wiring
from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.settings import AwsSettings, from_environment
from hookline.adapters.aws.task import METADATA, OwnTask, own_task
from hookline.batch.session import Engine
from hookline.batch.worker import Worker
from hookline.container import stream
from hookline.container.gateway import Application
from hookline.container.layout import place_in
from hookline.container.worker import ENGINE_THREADS
from hookline.core.endings import REPLICA_FAILED, told
from hookline.core.errors import HooklineError
from hookline.core.models import Model
from hookline.core.ports import Ports
from hookline.core.records import Job
from hookline.gateway.kept import KEEP_S, Kept
from hookline.gateway.proxy import Gateway, Limits
from hookline.gateway.reporter import Reporter
from hookline.gateway.routing import Destination, RoutingTable
from hookline.gateway.teller import Teller
from hookline.runtime import spec
from hookline.runtime.items import Answer, Item, Outcome
from hookline.staging.engines import Opener
from hookline.staging.replicas import clean_environment
from tests.ecs_agent import agent, metadata
from tests.polling import until
from tests.stacks.cloud.account import EXECUTION, session_of
from tests.stacks.cloud.deploying import client_of
from tests.stacks.cloud.tenant import Tenant

READY_S = 60.0
LOOK_S = 0.05  # between two looks whether an answer is there
OK, ACCEPTED = 200, 202


def container(tenant: Tenant, kind: str) -> dict[str, Any]:
    """The container of a process in its task definition, as it was made."""
    definition = tenant.stack.id_of(f"Tasks{kind.title()}Cpu", "AWS::ECS::TaskDefinition")
    found = tenant.account.client("ecs").describe_task_definition(taskDefinition=definition)
    (made,) = found["taskDefinition"]["containerDefinitions"]
    assert made["command"] == [kind]
    result: dict[str, Any] = made
    return result


def settings_of(tenant: Tenant, kind: str, folder: Path) -> AwsSettings:
    """What a process makes of the environment that its task definition gives it."""
    variables = {one["name"]: one["value"] for one in container(tenant, kind)["environment"]}
    return from_environment({**variables, "HOOKLINE_HOME": str(folder)})


def clients_of(tenant: Tenant, kind: str) -> Clients:
    return Clients(session_of(tenant.principal(kind)))


def ports_of(tenant: Tenant, kind: str) -> Ports:
    """The ports of a process that stores no files."""
    return wiring.ports(settings_of(tenant, kind, Path("/nowhere")), clients_of(tenant, kind))


# --- streams ---------------------------------------------------------------------------------


@dataclass
class Replicas:
    """The tasks of streams: `sockets` by the address that ECS gave the task."""

    folder: Path
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    sockets: dict[str, str] = field(default_factory=dict)

    def start(self, tenant: Tenant, task: dict[str, Any]) -> str:
        """Stage and serve what a task is to run; return why it ended, "" when it is ready."""
        folder = self.folder / task["taskArn"][-8:]  # the path of a socket has 107 bytes at most
        folder.mkdir(parents=True)
        log = folder / "log"
        try:
            command, run_dir = self._staged(tenant, task, folder)
        except HooklineError as error:  # hookline.container writes such a line, and ends
            log.write_text(json.dumps({"event": REPLICA_FAILED, **told(error)}))
        else:
            self._serve(task, command, run_dir, log)
        self._print(tenant, task, log.read_text())
        return "" if task["taskArn"] in self.children else "Essential container in task exited"

    def stop(self, task: str) -> None:
        """ECS has ended the task."""
        child = self.children.pop(task, None)
        if child:
            child.kill()
            child.wait()

    def close(self) -> None:
        for task in list(self.children):
            self.stop(task)

    def _staged(self, tenant: Tenant, task: dict[str, Any], folder: Path) -> tuple[list[str], Path]:
        with agent(metadata(task["taskArn"], tenant.account.ecs.cluster)) as endpoint:
            found = own_task({METADATA: endpoint})
        assert isinstance(found, OwnTask)
        settings = settings_of(tenant, "stream", folder)
        return stream.staged(settings, found, clients_of(tenant, "stream"))

    def _serve(self, task: dict[str, Any], command: list[str], run_dir: Path, log: Path) -> None:
        """On a socket, as all tasks share this machine's network here."""
        launch, place, ready = Path(command[-1]), run_dir / "s", run_dir / "ready"
        wanted = spec.read(launch)
        server = msgspec.structs.replace(
            wanted.server, unix_socket=str(place), ready_file=str(ready)
        )
        changed = msgspec.structs.replace(wanted, server=server, parent_pid=os.getpid())
        spec.write(changed, launch)
        with log.open("wb") as output:
            environment = clean_environment(run_dir)
            child = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        until(lambda: ready.exists() or child.poll() is not None, READY_S)
        if ready.exists():
            self.children[task["taskArn"]] = child
            self.sockets[_address(task)] = f"unix:{place}"

    def _print(self, tenant: Tenant, task: dict[str, Any], text: str) -> None:
        """ECS's log driver writes what a container prints, as the execution role."""
        options = container(tenant, "stream")["logConfiguration"]["options"]
        task_id = task["taskArn"].rpartition("/")[2]
        place = {
            "logGroupName": options["awslogs-group"],
            "logStreamName": f"{options['awslogs-stream-prefix']}/runtime/{task_id}",
        }
        logs = client_of(session_of(tenant.principal(EXECUTION)), "logs")
        logs.create_log_stream(**place)
        now = int((tenant.account.clock() - 10) * 1000)
        events = [{"timestamp": now, "message": line} for line in text.splitlines() if line]
        logs.put_log_events(**place, logEvents=events or [{"timestamp": now, "message": "-"}])


def _address(task: dict[str, Any]) -> str:
    (attachment,) = task["attachments"]
    found = {one["name"]: one["value"] for one in attachment["details"]}
    return f"http://{found['privateIPv4Address']}:8080"


# --- batch workers ---------------------------------------------------------------------------


LOUD = b"Say it loud."


class Echo:
    """An engine that costs nothing. It answers `LOUD` with more than one request can store."""

    def run(self, items: Sequence[Item], timeout_s: float) -> list[Outcome]:
        del timeout_s
        long = b"x" * upload.PART_BYTES
        return [Answer(long if item.body == LOUD else b"seen", "text/plain") for item in items]

    def close(self) -> None:
        """There is nothing to close."""


@dataclass(frozen=True)
class Thrifty:
    """Opens engines for jobs with hooks only; the others get an Echo."""

    opener: Opener

    def __call__(self, job: Job, model: Model) -> Engine:
        return self.opener(job, model) if job.serving.bundle else Echo()


def worker(
    tenant: Tenant,
    folder: Path,
    *,
    echoes: bool = False,
    draining: threading.Event | None = None,
) -> Worker:
    """A worker of a tenant; `folder` is its home. `echoes`: it is Thrifty."""
    settings = settings_of(tenant, "worker", folder)
    ports = wiring.ports(settings, clients_of(tenant, "worker"))
    opener = Opener(ports, place_in(settings, threads=ENGINE_THREADS))
    open_engine = Thrifty(opener) if echoes else opener
    return Worker(ports, open_engine, draining=draining or threading.Event())


# --- the gateway -----------------------------------------------------------------------------


class Network(RoutingTable):
    """The routing table, where the addresses of the VPC lead to sockets of this machine."""

    def __init__(self, ports: Ports, sockets: dict[str, str]) -> None:
        super().__init__(ports.catalog)
        self._sockets = sockets

    def _destination(self, token_sha256: str) -> Destination:
        found = super()._destination(token_sha256)
        return replace(found, addresses=[self._sockets[one] for one in found.addresses])


def predict(
    tenant: Tenant, sockets: dict[str, str], token: str, bodies: Sequence[bytes]
) -> list[tuple[int, bytes]]:
    """Status and body of the answer to each, through a new gateway."""

    async def run() -> list[tuple[int, bytes]]:
        async with _entrance(ports_of(tenant, "gateway"), sockets) as application:
            answers = [await _asked(application, token, body) for body in bodies]
        return [(status, body) for status, _, body in answers]

    return asyncio.run(run())


def predict_later(tenant: Tenant, sockets: dict[str, str], token: str, body: bytes) -> bytes:
    """The answer to a body that was uploaded and that nobody waits for; it is dropped then."""
    ports = ports_of(tenant, "gateway")

    async def run() -> bytes:
        async with _entrance(ports, sockets) as application:
            size = json.dumps({"size_bytes": len(body)}).encode()
            _, _, lent = await _asked(application, token, size, path="/predict/uploads")
            upload = json.loads(lent)
            tenant.follow(upload["request"], body)
            wanted = {"prefer": "respond-async", "body-reference": upload["reference"]}
            status, headers, _ = await _asked(application, token, b"", **wanted)
            assert status == ACCEPTED
            location = headers[b"location"].decode()
            while status == ACCEPTED:
                await asyncio.sleep(LOOK_S)
                answer = await _asked(application, token, b"", method="GET", path=location)
                status, _, found = answer
            assert status == OK, found
            return found

    answer = asyncio.run(run())
    Kept(ports.blobs, lambda: time.time() + KEEP_S + 1).sweep(tenant.name)
    return answer


@asynccontextmanager
async def _entrance(ports: Ports, sockets: dict[str, str]) -> AsyncIterator[Application]:
    reporter = Reporter(Teller(ports.catalog, ports.queue, ports.clock))
    kept = Kept(ports.blobs, ports.clock)
    gateway = Gateway(Network(ports, sockets), reporter, Limits(hold_s=READY_S), kept)
    pulse = asyncio.create_task(gateway.run())
    try:
        yield Application(gateway)
    finally:
        pulse.cancel()
        await gateway.finish(READY_S)
        gateway.close()


async def _asked(
    application: Application,
    token: str,
    body: bytes,
    *,
    method: str = "POST",
    path: str = "/predict",
    **more: str,
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of one answer; `more` are headers."""
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if waiting:
            return waiting.pop()
        return await asyncio.get_running_loop().create_future()  # the caller stays

    async def send(message: Any) -> None:
        sent.append(dict(message))

    named = {"authorization": f"Bearer {token}", "content-type": "image/png", **more}
    headers = [(name.encode(), value.encode()) for name, value in named.items()]
    place = {"path": path, "raw_path": path.encode(), "query_string": b""}
    scope = {"type": "http", "method": method, "headers": headers, **place}
    await application(scope, receive, send)
    answer = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], dict(sent[0]["headers"]), answer
