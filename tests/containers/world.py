"""A tenant on AWS as moto plays it over HTTP, and the processes of the image beside it.

The test acts for ECS: it says which task a process is, and gives it the metadata endpoint.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from moto.core.models import botocore_stubber
from moto.server import ThreadedMotoServer

from hookline.adapters.aws import wiring
from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.services import service_name
from hookline.adapters.aws.settings import AwsSettings
from hookline.adapters.aws.task import METADATA
from hookline.core.models import Model, TensorSpec
from hookline.core.ports import Ports
from hookline.core.records import Bundle, Credential, Replica, Serving, Stream, upload_key
from hookline.core.secrets import digest, new_token
from hookline.core.topology import process_kind
from tests import onnx_models
from tests.ecs_agent import agent, metadata
from tests.polling import until
from tests.unit.adapters.aws import world as aws

TENANT, CLUSTER = "acme", "main"
TIMEOUT_S = 60.0

PORT = 8080  # of every process of the image
_started = count(1)


@contextmanager
def own_host() -> Iterator[str]:
    """A loopback address that nothing else on this machine has, so that all may listen on 8080.

    Its UDP port of that number is held meanwhile: a mark that other processes see, and that ends
    with this one.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mark:
        yield next(host for host in _loopback_hosts() if _is_marked(mark, host))


def _loopback_hosts() -> Iterator[str]:
    return (f"127.0.{high}.{low}" for high in range(256) for low in range(2, 255))


def _is_marked(mark: socket.socket, host: str) -> bool:
    """Whether `mark` could be set; otherwise somebody else has the address."""
    try:
        mark.bind((host, PORT))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


@dataclass
class Container:
    """A running process of the image."""

    popen: subprocess.Popen[bytes]
    log_path: Path
    url: str

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = (line for line in self.log.splitlines() if line.startswith("{"))
        return [json.loads(line) for line in lines]

    def said(self, event: str) -> bool:
        """Whether its log has such a line; fails when it ended without."""
        is_there = any(line["event"] == event for line in self.events)
        assert is_there or self.popen.poll() is None, self.log
        return is_there

    def wait_until(self, event: str) -> None:
        until(lambda: self.said(event), TIMEOUT_S)

    def ended(self) -> int:
        """The exit status, once it has ended."""
        return self.popen.wait(TIMEOUT_S)

    def answers(self) -> bool:
        """Whether /ping says that it is ready; fails when it ended."""
        assert self.popen.poll() is None, self.log
        try:
            return httpx2.get(f"{self.url}/ping", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False


@dataclass
class Account:
    """An AWS account with what the stacks make for one tenant."""

    endpoint: str
    clients: Clients
    ports: Ports
    queues: dict[str, str]
    folder: Path

    def model(self, data: bytes, model_id: int) -> Model:
        """A model of one input x and one output y, imported from `data`."""
        tensor = TensorSpec(name="x", dtype="float32", shape=(-1, 3))
        stored = self.upload(data)
        return self.ports.catalog.put(
            Model(
                tenant=TENANT,
                id=model_id,
                name="m",
                format="onnx",
                sha256=stored,
                size_bytes=len(data),
                inputs=(tensor,),
                outputs=(tensor,),
                created_at=0.0,
            )
        )

    def upload(self, data: bytes) -> str:
        stored = sha256(data).hexdigest()
        self.ports.blobs.put(upload_key(TENANT, stored), data)
        return stored

    def identity(self) -> bytes:
        """An ONNX model that answers what it is asked."""
        return onnx_models.identity(self.folder / "identity.onnx").read_bytes()

    def stream(self, stream_id: int, model: Model, hooks: str = "") -> str:
        """A deployed stream; returns a token of it."""
        bundle = Bundle(sha256=self.upload(hooks.encode()), filename="hooks.py")
        serving = Serving(bundle=bundle if hooks else None)
        self.ports.catalog.put(
            Stream(
                tenant=TENANT,
                id=stream_id,
                model_id=model.id,
                serving=serving,
                status="Running",
                created_at=0.0,
                updated_at=0.0,
            )
        )
        token = new_token()
        self.ports.catalog.put(
            Credential(sha256=digest(token), owner=TENANT, stream_id=stream_id, created_at=0.0)
        )
        return token

    def publish(self, stream_id: int, container: Container) -> None:
        """As the reconciler does when a replica is ready."""
        self.ports.catalog.put(
            Replica(
                tenant=TENANT,
                stream_id=stream_id,
                process_id="1",
                address=container.url,
                started_at=0.0,
            )
        )

    @contextmanager
    def container(
        self, kind: str, *, group: str = "", cpus: float = 2, **settings: str
    ) -> Iterator[Container]:
        """The image's command, as ECS runs it for that group; killed at the end."""
        name = service_name(TENANT, TENANT, group) if group else f"{kind}-service"
        number = next(_started)
        log_path = self.folder / f"{number}.log"
        told = metadata(self._task(name), CLUSTER, cpus=cpus)
        with agent(told) as endpoint, own_host() as host:
            environment = self._environment(kind) | {
                METADATA: endpoint,
                "HOOKLINE_HOST": host,
                "HOOKLINE_HOME": str(self.folder / str(number)),
                **settings,
            }
            with log_path.open("wb") as log:
                popen = subprocess.Popen(
                    [sys.executable, "-m", "hookline.container", kind],
                    env=environment,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                )
            try:
                yield Container(popen, log_path, f"http://{host}:{PORT}")
            finally:
                popen.kill()
                popen.wait()

    def _environment(self, kind: str) -> dict[str, str]:
        """What the stack's task definition sets, and where AWS and its credentials are."""
        used = {grant.place for grant in process_kind(kind).grants if grant.port == "queue"}
        return {
            "PATH": os.environ["PATH"],
            "HOOKLINE_TENANT": TENANT,
            "HOOKLINE_TABLE": aws.TABLE,
            "HOOKLINE_BUCKET": aws.BUCKET,
            "HOOKLINE_QUEUES": json.dumps({name: self.queues[name] for name in sorted(used)}),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": aws.REGION,
        }

    def _task(self, service: str) -> str:
        """Have ECS know a task of that service; moto starts none itself."""
        made = self.clients.ecs.run_task(
            cluster=CLUSTER,
            taskDefinition="runtime",
            launchType="FARGATE",
            group=f"service:{service}",
        )
        return made["tasks"][0]["taskArn"]


@contextmanager
def account(folder: Path) -> Iterator[Account]:
    """Everything of one test module; moto forgets it at the end."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    assert not botocore_stubber.enabled  # else the requests of this process stay in it
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", endpoint)
            clients = Clients(aws.session_in(aws.REGION))
            yield _made(clients, endpoint, folder)
    finally:
        httpx2.post(f"{endpoint}/moto-api/reset")
        server.stop()


def _made(clients: Clients, endpoint: str, folder: Path) -> Account:
    aws.make_table(clients)
    aws.make_bucket(clients, aws.BUCKET)
    queues = aws.make_queues(clients)
    clients.ecs.create_cluster(clusterName=CLUSTER)
    clients.ecs.register_task_definition(
        family="runtime",
        containerDefinitions=[{"name": "runtime", "image": "r", "memory": 512, "cpu": 256}],
    )
    settings = AwsSettings(table=aws.TABLE, bucket=aws.BUCKET, queues=queues, tenant=TENANT)
    return Account(endpoint, clients, wiring.ports(settings, clients), queues, folder)
