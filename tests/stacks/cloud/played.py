"""Everything that the proofs look at, played once: a day, changes, hardships, neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hookline.core.topology import Route
from tests.stacks.cloud import changes, client, hardship, story
from tests.stacks.cloud.cloud import Cloud, cloud
from tests.stacks.cloud.recording import Request
from tests.stacks.cloud.rights import Call, Statement
from tests.stacks.cloud.story import Day
from tests.stacks.cloud.tenant import Tenant

TENANT = "acme"
NEIGHBOURS = ("acme2", "globex")  # one begins with the tenant's name
TENANTS = (TENANT, *NEIGHBOURS)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another tenant at the end. `opened` is what its key gets from the tenant's API."""

    stream: str
    ready_replicas: int
    service: str
    opened: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """`left` is what the day left over. `ids`: physical names, by stack and logical name.

    `problems` are what the cloud of the tests could not judge or answer; there should be none.
    """

    log: list[str]
    day: Day
    left: Mapping[str, object]
    neighbours: Mapping[str, Neighbour]
    rights: Mapping[str, list[Statement]]
    requests: list[Request]
    problems: list[str]
    ids: Mapping[str, Mapping[str, str]]
    left_out: frozenset[str]
    ran: frozenset[str]
    asked: frozenset[Route]

    def principals(self) -> list[str]:
        """Those of the tenant."""
        return [name for name in self.rights if name.startswith(f"{TENANT}.")]

    def of(self, principal: str) -> set[Call]:
        """All that IAM was asked about a principal."""
        found = (one.calls for one in self.requests if one.principal == principal)
        return {call for calls in found for call in calls}


def play(assembly: Path, folder: Path) -> Played:
    """Play it on an assembly of TENANTS."""
    with cloud(assembly, folder, TENANTS, served=[TENANT]) as found:
        streams = {name: _moved_in(found, name) for name in NEIGHBOURS}
        tenant = found.tenants[TENANT]
        day = story.spend(found, tenant)
        left = story.left(found, tenant)
        changes.change(found, tenant)
        hardship.endure(found, tenant)
        recorder = found.account.recorder
        problems = [repr(one) for one in (*recorder.problems, *recorder.refusals)]
        return Played(
            log=found.log,
            day=day,
            left=left,
            neighbours={name: _neighbour(found, name, streams[name]) for name in NEIGHBOURS},
            rights=found.account.rights(),
            requests=recorder.requests,
            problems=problems,
            ids={name: stack.ids for name, stack in found.account.stacks.items()},
            left_out=frozenset(found.account.left_out.values()),
            ran=frozenset({*tenant.ran, *_principals(recorder.requests)}),
            asked=frozenset(tenant.asked),
        )


def _principals(requests: list[Request]) -> Iterator[str]:
    """What of the tenant has sent requests."""
    for one in requests:
        owner, _, name = one.principal.partition(".")
        if owner == TENANT:
            yield name


def _moved_in(cloud: Cloud, name: str) -> int:
    tenant = cloud.tenants[name]
    model_id = client.imported(tenant, story.MODEL)
    stream_id: int = tenant.ask("POST", "/v1/streams", {"model_id": model_id})["id"]
    story.expect(cloud, tenant, stream_id, "Running")
    cloud.say(f"neighbour {name} has stream {stream_id}")
    return stream_id


def _neighbour(cloud: Cloud, name: str, stream_id: int) -> Neighbour:
    stream = client.stream(cloud.tenants[name], stream_id)
    service = cloud.account.ecs.services[f"{name}--stream-{stream_id}"]
    thief = Tenant(cloud.account, TENANT, cloud.tenants[name].key)
    opened = thief("GET", "/v1/models").status
    return Neighbour(stream["status"], stream["ready_replicas"], service["status"], opened)
