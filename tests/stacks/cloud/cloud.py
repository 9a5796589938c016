"""Everything together: the account, its tenants, and what runs in it, one turn at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hookline.adapters.aws import wiring
from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.settings import AwsSettings
from hookline.batch.worker import Worker
from hookline.control.users import bootstrap
from hookline.core.endings import EXIT_START_FAILED
from hookline.core.ports import Ports
from hookline.core.topology import QUEUES
from tests.stacks.cloud.account import Account, account
from tests.stacks.cloud.processes import Replicas, worker
from tests.stacks.cloud.tenant import Tenant

TURNS = 100
ADMIN = "ada"


@dataclass
class Cloud:
    """`log` tells what happened. The replicas of `served` tenants are real.

    `echoes`: new workers run models only together with hooks.
    """

    account: Account
    folder: Path
    tenants: dict[str, Tenant]
    replicas: Replicas
    served: frozenset[str]
    workers: dict[str, Worker] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    echoes: bool = False

    def say(self, text: str) -> None:
        self.log.append(f"{len(self.log) + 1:3}  {text}")

    def ports(self, tenant: str) -> Ports:
        """The operator's view of what a tenant has: it leaves no trace in the records."""
        found = self.tenants[tenant]
        settings = AwsSettings(
            table=found.storage.id_of("Catalog", "AWS::DynamoDB::Table"),
            bucket=found.storage.id_of("Blobs", "AWS::S3::Bucket"),
            queues={spec.name: found.queue_url(spec.name) for spec in QUEUES},
            tenant=tenant,
        )
        return wiring.ports(settings, Clients(self.account.operator))

    def turn(self) -> int:
        """Deliver messages, let workers work, bring tasks a step on; how much happened."""
        moved = sum(tenant.deliver() for tenant in self.tenants.values())
        moved += sum(self.work(tenant) for tenant in self.tenants.values())
        events = self.account.ecs.advance()
        events += self._start_streams()
        for event in events:
            for tenant in self.tenants.values():
                tenant.tell(event)
        return moved + len(events)

    def work(self, tenant: Tenant) -> int:
        """The batch workers of a tenant take what waits: their service scales from zero."""
        done = 0
        while tenant.waiting("shards"):
            done += self.worker(tenant).step()
        return done

    def worker(self, tenant: Tenant) -> Worker:
        if tenant.name not in self.workers:
            folder = self.folder / f"worker-{tenant.name}-{len(self.log)}"
            self.workers[tenant.name] = worker(tenant, folder, echoes=self.echoes)
        return self.workers[tenant.name]

    def dismiss(self, tenant: Tenant) -> None:
        """The worker's task ends; another takes its place when there is work."""
        found = self.workers.pop(tenant.name, None)
        if found:
            found.close()

    def until(self, is_so: Callable[[], object], what: str) -> int:
        """Turn after turn; return how many. Time goes on when nothing else does."""
        for turns in range(TURNS):
            if is_so():
                return turns
            if not self.turn():
                self.account.clock.ahead_s += 1
        raise AssertionError(
            f"{what} did not happen in {TURNS} turns.\n" + "\n".join(self.log[-9:])
        )

    def settle(self) -> None:
        """Until nothing waits in any queue."""
        self.until(lambda: not self.unread(), "That all messages are handled")

    def unread(self) -> dict[str, int]:
        """How many messages there are, by tenant and queue."""
        depths = {
            f"{tenant.name} {spec.name}": tenant.depth(spec.name)
            for tenant in self.tenants.values()
            for spec in QUEUES
        }
        return {name: depth for name, depth in depths.items() if depth}

    def dead(self) -> dict[str, int]:
        """How many messages were given up, or never delivered, by tenant and queue."""
        found = {
            f"{tenant.name} {name}": tenant.messages(url)
            for tenant in self.tenants.values()
            for name, url in tenant.storage.ids.items()
            if "Dead" in name or name.startswith("Undelivered")
            if url.startswith("https://sqs.")
        }
        return {name: depth for name, depth in found.items() if depth}

    def _start_streams(self) -> list[dict[str, Any]]:
        for arn, task in list(self.account.ecs.tasks.items()):
            place = task["group"].removeprefix("service:").partition("--")
            is_new = task["lastStatus"] == "RUNNING" and arn not in self.started
            if is_new and place[1] and place[0] in self.served:
                self.started.add(arn)
                reason = self.replicas.start(self.tenants[place[0]], task)
                if reason:
                    code = "EssentialContainerExited"
                    self.account.ecs.stop(arn, code, reason, exit_code=EXIT_START_FAILED)
            if task["desiredStatus"] == "STOPPED":
                self.replicas.stop(arn)
        return list(self.account.ecs.news())


@contextmanager
def cloud(
    assembly: Path, folder: Path, tenants: Sequence[str], served: Sequence[str] = ()
) -> Iterator[Cloud]:
    """The stacks of these tenants, each with an admin."""
    with account(assembly, tenants) as made:
        members = {name: Tenant(made, name) for name in tenants}
        replicas = Replicas(folder / "replicas")
        found = Cloud(made, folder, members, replicas, frozenset(served))
        for name, tenant in members.items():
            tenant.key = bootstrap(found.ports(name), name, ADMIN)
        try:
            yield found
        finally:
            for tenant in members.values():
                found.dismiss(tenant)
            replicas.close()
