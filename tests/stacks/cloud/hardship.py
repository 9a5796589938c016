"""What does not happen every day: lists that go on, code from elsewhere, processes that die."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from hookline.control import overdue
from hookline.control.outbox import OVERDUE_S, Outgoing
from hookline.control.paging import SigningSecret
from hookline.core.records import PLATFORM, Job, Shard
from hookline.core.topology import queue_spec
from tests.stacks.cloud import client, story
from tests.stacks.cloud.cloud import ADMIN, Cloud
from tests.stacks.cloud.deploying import REGION
from tests.stacks.cloud.landing import Landing
from tests.stacks.cloud.processes import LOUD, worker
from tests.stacks.cloud.telling import Telling
from tests.stacks.cloud.tenant import Tenant

HOOKS = b"def postprocess(output, raw_input):\n    return 'seen'\n"
BROKEN = b"import no_such_module\n"
LINKED = "photos"  # the bucket that the context lets the tenant link to
UNAVAILABLE = "ServiceUnavailable"
ABSENT = {"sha256": "0" * 64, "filename": "inference.py"}


def endure(cloud: Cloud, tenant: Tenant) -> None:
    """All of it, on two models and two volumes, one of them linked."""
    Hardship(cloud, tenant).endure()


@dataclass
class Hardship:
    """`spare_id` is a model that only streams answer with."""

    cloud: Cloud
    tenant: Tenant
    model_id: int = 0
    spare_id: int = 0
    volume_id: int = 0
    linked_id: int = 0

    def endure(self) -> None:
        self.cloud.dismiss(self.tenant)
        self.cloud.echoes = True
        self.model_id = client.imported(self.tenant, story.MODEL)
        self.spare_id = client.imported(self.tenant, story.MODEL, "spare")
        self.volume_id = client.volume(self.tenant, {**story.images(0, 2), "inference.py": HOOKS})
        place = {"LocationConstraint": REGION}
        s3 = self.cloud.account.client("s3")
        s3.create_bucket(Bucket=LINKED, CreateBucketConfiguration=place)
        for name, data in {**story.images(0, 2), "inference.py": BROKEN}.items():
            s3.put_object(Bucket=LINKED, Key=f"in/{name}", Body=data)
        self.linked_id = self._linked("in")
        self.people()
        self.lists()
        self.files_that_come_back()
        self.bundles_that_are_not_there()
        self.code_in_a_volume()
        self.records_of_files()
        self.code_that_fails()
        self.drops_that_are_gone()
        self.drops_of_a_linked_bucket()
        Landing(self.cloud, self.tenant, self.model_id, LINKED).land()
        telling = (self.model_id, self.volume_id, self.linked_id)
        Telling(self.cloud, self.tenant, *telling).tell()
        self.workers_that_end()
        self.workers_that_are_late()
        self.planners_that_fail()
        self.finishers_that_fail()
        self.messages_left_behind()
        self.messages_that_are_lost()
        self.tokens_left_behind()

    def _linked(self, prefix: str) -> int:
        body = {"name": "linked", "link": f"s3://{LINKED}/{prefix}"}
        volume_id: int = self.tenant.ask("POST", "/v1/volumes", body)["id"]
        found = self.tenant.ask("GET", f"/v1/volumes/{volume_id}/files")["items"]
        self.cloud.say(
            f"volume {volume_id} is linked to s3://{LINKED}/{prefix}: {len(found)} files"
        )
        return volume_id

    def people(self) -> None:
        ask = self.tenant.ask
        ask("POST", "/v1/users", {"name": "uma"})
        first, second = (ask("POST", "/v1/keys", {"user": "uma"}) for _ in range(2))
        ask("DELETE", f"/v1/keys/{first['id']}")
        ask("DELETE", "/v1/users/uma")
        uma = Tenant(self.cloud.account, self.tenant.name, second["key"])
        refused = uma("GET", "/v1/me").status
        self.cloud.say(f"make a user and two keys, delete them: the last key gets {refused}")
        assert refused == 403
        assert ask("GET", "/openapi.json")["openapi"]
        assert ask("GET", "/v1/me")["user"] == ADMIN
        assert len(ask("GET", "/v1/keys")["items"]) == 1
        assert ask("POST", "/v1/webhook-secret")["secret"]

    def lists(self) -> None:
        """Each list is the first whose page is not the last, so it makes the signing secret."""
        self.tenant.ask("POST", "/v1/users", {"name": "vi"})
        self._undeployed()
        self._undeployed()
        self._job(self.volume_id)
        self._job(self.volume_id)
        nouns = ("models", "streams", "volumes", "batches", "users")
        for noun in nouns:
            self._forget_secret()
            page = self.tenant.ask("GET", f"/v1/{noun}?limit=1")
            token = page["next_page_token"]
            more = self.tenant.ask("GET", f"/v1/{noun}?limit=1&page_token={token}")
            assert page["items"] != more["items"], noun
        self.cloud.say(f"list {', '.join(nouns)} page by page")

    def files_that_come_back(self) -> None:
        """The model as it was sent, and a volume's files; one that is not there fails alone."""
        model = self.tenant.ask("GET", f"/v1/models/{self.model_id}/file")
        assert self.tenant.follow(model["request"]) == story.MODEL
        wanted = {"names": ["inference.py", "nowhere.png"]}
        target = f"/v1/volumes/{self.volume_id}/downloads"
        there, absent = self.tenant.ask("POST", target, wanted)["items"]
        assert self.tenant.follow(there["request"]) == HOOKS
        assert absent["error"]["status"] == 404
        self.cloud.say(f"fetch model {self.model_id} and a file of volume {self.volume_id} back")

    def bundles_that_are_not_there(self) -> None:
        """S3 says that a file is absent only to those who may list."""
        volumes = (self._empty(), self._linked("nothing"))
        bundles = [ABSENT, *({"volume_id": volume_id} for volume_id in volumes)]
        for target, body in (
            ("/v1/streams", {}),
            ("/v1/batches", {"volume_id": self.volume_id}),
            (f"/v1/volumes/{self.volume_id}/triggers", {}),
        ):
            for bundle in bundles:
                wanted = {**body, "model_id": self.model_id, "bundle": bundle}
                assert self.tenant("POST", target, wanted).status in (404, 422), target
        assert self.tenant("POST", "/v1/models", {"name": "x", "sha256": "0" * 64}).status == 404
        self.cloud.say("deploy, predict, watch and import what is not uploaded: refused")

    def code_in_a_volume(self) -> None:
        """A stream and a job whose hooks are in volumes; the job's files are in a linked one."""
        bundle = {"bundle": {"volume_id": self.volume_id}}
        stream_id = self._deployed(**bundle)
        self._expect(stream_id, "Running")
        self._scaled_by_hand(stream_id)
        self._logs(stream_id)
        self._rotated(stream_id)
        self._undeploy(stream_id)
        job = self._job(self.linked_id, **bundle)
        assert (job["status"], job["succeeded"]) == ("CompletedWithErrors", 2), job
        self.cloud.say(f"hooks from a volume, files from a linked one: batch {job['id']} ran")
        self._again(job)
        job = self._job(self._empty())
        assert (job["status"], job["total"]) == ("Completed", 0), job

    def _again(self, job: dict[str, Any]) -> None:
        """The failed row once more, without hooks; then whether all of it is there."""
        made = self.tenant.ask("POST", f"/v1/batches/{job['id']}/retry", {"bundle": None})
        again = story.ended(self.cloud, self.tenant, made["id"])
        assert (again["status"], again["succeeded"]) == ("Completed", job["total"]), again
        names = [row[0] for row in client.rows(self.tenant, made["id"])]
        assert client.names_of_parts(self.tenant, made["id"]) == names
        self._forget_secret()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hookline.batch.verify.CALL_S", 0.0)  # one shard a call
            first = self._verified(made["id"])
            token = first["next_page_token"]
            last = self._verified(made["id"], f"?page_token={token}")
        assert token
        assert (first["problems"], last["problems"], last["succeeded"]) == ([], [], job["total"])
        self.cloud.say(
            f"retry batch {job['id']}: batch {made['id']} is {again['status']}, verified"
        )

    def _verified(self, job_id: int, query: str = "") -> dict[str, Any]:
        found: dict[str, Any] = self.tenant.ask("GET", f"/v1/batches/{job_id}/verify{query}")
        return found

    def records_of_files(self) -> None:
        """Each line of a file is a row: who plans reads the file."""
        key = "records/lines.jsonl"
        self.cloud.account.client("s3").put_object(Bucket=LINKED, Key=key, Body=b"1\n2\n3\n")
        own = client.volume(self.tenant, {"lines.csv": b"name\n1\n2\n3\n"}, "records")
        for volume_id in (self._linked("records"), own):
            job = self._job(volume_id, split="lines", has_header=True)
            assert (job["status"], job["total"]) == ("Completed", 3), job
        self.cloud.say(
            f"records of files, linked or not: batch {job['id']} has {job['total']} rows"
        )

    def code_that_fails(self) -> None:
        """Its last words are in the answer."""
        bundle = {"bundle": {"volume_id": self.linked_id}}
        stream_id = self._deployed(**bundle)
        self._expect(stream_id, "Failed")
        failure = client.stream(self.tenant, stream_id)["failure"]
        assert "no_such_module" in failure["trace"], failure
        self.cloud.say(f"stream {stream_id} failed: {failure['message']}")
        self._undeploy(stream_id)
        self._watched(**bundle)
        assert self.tenant.ask("GET", f"/v1/models/{self.spare_id}")["name"] == "spare"
        assert self.tenant.ask("GET", f"/v1/volumes/{self.linked_id}")["total_files"] == 3
        job = self._job(self.volume_id, **bundle)
        assert "no_such_module" in job["failure"]["trace"], job
        self.cloud.say(f"batch {job['id']} failed: {job['failure']['message']}")

    def drops_that_are_gone(self) -> None:
        """A file that is deleted before anyone looked at it is no drop."""
        with self._watching():
            client.put(self.tenant, self.volume_id, {"gone.png": b"x", "kept.png": b"x"})
            key = f"{self.tenant.name}/volumes/{self.volume_id}/gone.png"
            self.cloud.ports(self.tenant.name).blobs.delete(key)
            self.cloud.settle()
        found = self.tenant.ask("GET", f"/v1/volumes/{self.volume_id}/drops")["items"]
        assert [drop["name"] for drop in found] == ["kept.png"]
        self.cloud.say("drop two files, delete one of them at once: one is predicted")

    def drops_of_a_linked_bucket(self) -> None:
        """Its owner has switched EventBridge on. A file that is deleted at once is no drop."""
        s3 = self.cloud.account.client("s3")
        s3.put_bucket_notification_configuration(
            Bucket=LINKED, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        place = f"/v1/volumes/{self._linked('landing')}"
        self.tenant.ask("POST", f"{place}/triggers", {"model_id": self.model_id})
        for name in ("gone", "kept"):
            s3.put_object(Bucket=LINKED, Key=f"landing/{name}.png", Body=b"x")
        s3.delete_object(Bucket=LINKED, Key="landing/gone.png")
        self.cloud.settle()
        (drop,) = self.tenant.ask("GET", f"{place}/drops")["items"]
        job = story.ended(self.cloud, self.tenant, drop["job_id"])
        self.tenant.ask("DELETE", f"{place}/triggers")
        assert (drop["name"], job["status"]) == ("kept.png", "Completed"), (drop, job)
        self.cloud.say(f"drop {drop['name']} into a linked bucket: batch {job['id']} ran")

    def workers_that_end(self) -> None:
        """One drains, three die; the last delivery of the message is copied before it is used."""
        job_id = self._planned()
        draining = threading.Event()
        draining.set()
        leaver = worker(self.tenant, self.cloud.folder / "leaver", echoes=True, draining=draining)
        assert leaver.step()
        leaver.close()
        self._lost("shards", 3)
        job = story.ended(self.cloud, self.tenant, job_id)
        assert job["status"] == "Completed", job
        self.cloud.say(f"batch {job_id}: one worker drained, three died: {job['status']}")

    def workers_that_are_late(self) -> None:
        """Another attempt stored the part while this one predicted; its own is given back."""
        loud_id = client.volume(self.tenant, {"a.txt": LOUD}, "loud")
        job_id = self._planned(loud_id)
        self._part(job_id, b'{"i":0,"name":"a.txt","output":"first"}\n')
        self.cloud.work(self.tenant)
        job = story.ended(self.cloud, self.tenant, job_id)
        assert client.rows(self.tenant, job_id) == [["a.txt", "first"]], job
        self.cloud.say(f"batch {job_id}: a worker came late with 8 MB: {job['status']}")

    def planners_that_fail(self) -> None:
        """The manifest is stored when the record cannot be: the next planner reads it again."""
        job_id = client.submitted(self.tenant, self.model_id, self.volume_id)
        self._lost("plan", 4)
        self._refuse("plan", "dynamodb:PutItem")
        self.tenant.deliver()
        job = story.ended(self.cloud, self.tenant, job_id)
        assert job["total"] == job["done"] > 0, job
        self.cloud.say(f"batch {job_id}: planned twice, with DynamoDB away: {job['status']}")

    def finishers_that_fail(self) -> None:
        """A part that is damaged ends the job, also when half of the results are uploaded."""
        job_id = self._finishing()
        self._lost("finish", 4)
        self._refuse("finish", "dynamodb:PutItem")
        self.tenant.deliver()
        job = story.ended(self.cloud, self.tenant, job_id)
        assert job["status"] == "Completed", job
        self.cloud.say(f"batch {job_id}: finished twice, with DynamoDB away: {job['status']}")
        for damage in (self._long_part, self._no_part):
            job_id = self._finishing()
            damage(job_id)
            job = story.ended(self.cloud, self.tenant, job_id)
            assert "damaged" in job["failure"]["message"], job
            self.cloud.say(f"batch {job_id}: {job['failure']['message']}")
        assert self._verified(job_id)["problems"]

    def messages_left_behind(self) -> None:
        """The function dies between its commit and its message; the schedule sends it later."""
        job_id = self._unsent("POST", "/v1/batches")
        self.cloud.until(lambda: self.tenant.waiting("plan"), "That the plan message is sent")
        while client.job(self.tenant, job_id)["status"] == "Received":
            assert self.tenant.deliver()
        self._unsent("POST", f"/v1/batches/{job_id}/stop")
        job = story.ended(self.cloud, self.tenant, job_id)
        assert job["status"] == "Stopped", job
        self.cloud.say(f"batch {job_id}: its messages were left behind, and sent by the schedule")

    def messages_that_are_lost(self) -> None:
        """No queue speaks of a job any more; the schedule notices that it does not move."""
        job_id = self._planned()
        sqs, url = self.cloud.account.client("sqs"), self.tenant.queue_url("shards")
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        catalog = self.cloud.ports(self.tenant.name).catalog
        job = catalog.get(Job, self.tenant.name, job_id)
        swept = catalog.get(overdue.Sweep, self.tenant.name, Job.kind)
        assert job
        assert swept
        catalog.put(job.changed(updated_at=job.updated_at - overdue.OVERDUE_S - 1))
        catalog.put(swept.changed(at=swept.at - overdue.SWEEP_EVERY_S))
        self.tenant.tick()
        ended = story.ended(self.cloud, self.tenant, job_id)
        assert ended["status"] == "Completed", ended
        self.cloud.say(f"batch {job_id}: its messages were lost, and the schedule called it again")

    def tokens_left_behind(self) -> None:
        """The function dies between its commit and the revocation of the tokens."""
        self.cloud.served = frozenset()
        stream_id = self._deployed()
        self._expect(stream_id, "Running")
        self._refuse("streams", "dynamodb:Query")
        assert self.tenant("DELETE", f"/v1/streams/{stream_id}").status == 503
        self.tenant.tick()
        self._expect(stream_id, "Undeployed")
        self.cloud.say(f"stream {stream_id}: its tokens were revoked by the reconciler")

    # --- what these are made of --------------------------------------------------------------

    def _refuse(self, name: str, operation: str) -> None:
        self.cloud.account.recorder.refuse(self.tenant.principal(name), operation, UNAVAILABLE)

    def _forget_secret(self) -> None:
        catalog = self.cloud.ports(self.tenant.name).catalog
        stored = catalog.get(SigningSecret, PLATFORM, "page-tokens")
        if stored:
            catalog.delete(stored)

    def _empty(self) -> int:
        return client.volume(self.tenant, {}, "empty")

    def _deployed(self, **serving: Any) -> int:
        body = {"model_id": self.spare_id, **serving}
        stream_id: int = self.tenant.ask("POST", "/v1/streams", body)["id"]
        return stream_id

    def _expect(self, stream_id: int, status: str) -> None:
        story.expect(self.cloud, self.tenant, stream_id, status)

    def _undeployed(self) -> None:
        self._undeploy(self._deployed())

    def _undeploy(self, stream_id: int) -> None:
        self.tenant.ask("DELETE", f"/v1/streams/{stream_id}")
        self._expect(stream_id, "Undeployed")

    def _scaled_by_hand(self, stream_id: int) -> None:
        service = self.cloud.account.ecs.services[f"{self.tenant.name}--stream-{stream_id}"]
        service["desiredCount"] = 0
        self.cloud.turn()
        self.cloud.until(lambda: service["desiredCount"] == 1, "That the service is scaled back")
        self._expect(stream_id, "Running")
        self.cloud.say(f"stream {stream_id}: someone scaled its service to 0; it was scaled back")

    def _logs(self, stream_id: int) -> None:
        place = f"/v1/streams/{stream_id}/logs"
        assert self.tenant.ask("GET", place)["lines"]
        assert self.tenant.ask("GET", f"/v1/streams/{stream_id}/traffic")["replicas"] == 1

    def _rotated(self, stream_id: int) -> None:
        self.tenant.ask("POST", f"/v1/streams/{stream_id}/tokens")

    def _watched(self, **serving: Any) -> None:
        with self._watching(**serving):
            pass

    @contextmanager
    def _watching(self, **serving: Any) -> Iterator[None]:
        place = f"/v1/volumes/{self.volume_id}/triggers"
        self.tenant.ask("POST", place, {"model_id": self.model_id, **serving})
        assert self.tenant.ask("GET", place)["items"][-1]["is_on"]
        yield
        self.tenant.ask("DELETE", place)

    def _job(self, volume_id: int, **serving: Any) -> dict[str, Any]:
        job_id = client.submitted(self.tenant, self.model_id, volume_id, **serving)
        return story.ended(self.cloud, self.tenant, job_id)

    def _planned(self, volume_id: int = 0) -> int:
        job_id = client.submitted(self.tenant, self.model_id, volume_id or self.volume_id)
        while not self.tenant.waiting("shards"):
            assert self.tenant.deliver()
        return job_id

    def _finishing(self) -> int:
        job_id = self._planned()
        self.cloud.work(self.tenant)
        assert self.tenant.waiting("finish")
        return job_id

    def _lost(self, queue: str, times: int) -> None:
        """Who took the message died, so many times."""
        sqs, url = self.cloud.account.client("sqs"), self.tenant.queue_url(queue)
        for _ in range(times):
            assert sqs.receive_message(QueueUrl=url).get("Messages"), queue
            self.cloud.account.clock.ahead_s += queue_spec(queue).lease_s + 1

    def _long_part(self, job_id: int) -> None:
        """So long that the results take a multipart upload, and its end is missing."""
        row = '{"i":%d,"name":"n","output":"' + "x" * 3_000_000 + '"}\n'
        self._part(job_id, "".join(row % at for at in range(3)).encode() + b'{"i":')

    def _no_part(self, job_id: int) -> None:
        self._part(job_id, b"")

    def _part(self, job_id: int, data: bytes) -> None:
        ports = self.cloud.ports(self.tenant.name)
        key = Shard(tenant=self.tenant.name, job_id=job_id, index=0, first=0, count=0).part_key
        ports.blobs.delete(key)
        if data:
            ports.blobs.put(key, data)

    def _unsent(self, method: str, target: str) -> int:
        """A request whose messages stay in the outbox, and get old there."""
        self._refuse("batches", "sqs:SendMessageBatch")
        body = {"model_id": self.model_id, "volume_id": self.volume_id}
        assert self.tenant(method, target, body).status == 503
        ports = self.cloud.ports(self.tenant.name)
        left = ports.catalog.query(Outgoing, PLATFORM).items
        assert left
        for message in left:
            ports.catalog.put(message.changed(created_at=message.created_at - OVERDUE_S - 1))
        self.tenant.tick()
        jobs = ports.catalog.query(Job, self.tenant.name).items
        return jobs[-1].id
