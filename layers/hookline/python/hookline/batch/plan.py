"""The plan function: freeze a job's manifest, record its shards, call the workers.

Received → Queued is the only decision, one conditional write. Before it everything is the same for
every attempt (see manifest); after it the messages follow, and a repeated plan message sends those
of the shards that are not done once more. Workers survive duplicates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain, islice

from hookline.batch import jobs, manifest, retry, shards
from hookline.batch.entries import Source
from hookline.batch.events import message, queue_handler
from hookline.core.errors import NotFound
from hookline.core.models import Model
from hookline.core.ports import Ports
from hookline.core.records import Job, Shard, Volume
from hookline.core.topology import FINISH, PLAN, SHARDS, Handler

MESSAGES_AT_ONCE = 500


CountLeftOut = Callable[[Source], Mapping[str, int]]
"""How many there are, by reason, of what is in the place of a volume and no input."""


def unknown(_source: Source) -> Mapping[str, int]:
    """Nothing is known of what no listing shows."""
    return {}


def build(ports: Ports, *, left_out: CountLeftOut = unknown) -> Handler:
    """The handler of plan messages: {"tenant", "job_id"}."""
    return queue_handler(ports, PLAN, partial(plan, ports, left_out=left_out))


def plan(ports: Ports, tenant: str, job_id: int, *, left_out: CountLeftOut = unknown) -> None:
    """Bring the job from Received to its workers. Repeating it changes nothing but messages."""
    job = jobs.load(ports.catalog, tenant, job_id)
    if job is not None and job.status == "Received":
        jobs.or_fail(ports, job, partial(_freeze, ports, job, left_out))
        job = jobs.load(ports.catalog, tenant, job_id)
    if job is not None and not job.has_ended:
        _call(ports, job)


def _freeze(ports: Ports, job: Job, left_out: CountLeftOut) -> None:
    freeze = manifest.freeze if job.retry_of is None else retry.freeze
    volume = _volume(ports, job)
    counts = shards.store(ports.catalog, freeze(ports, job, volume))
    is_listed = job.retry_of is None and not job.only
    others = dict(left_out(Source.of(ports, volume))) if is_listed else {}

    def step(found: Job) -> Job | None:
        if found.status != "Received":
            return None
        fields = {"status": "Queued", "left_out": others, **counts._asdict()}
        return jobs.changed(found, ports.clock(), **fields)

    jobs.advance(ports, job, step)


def _volume(ports: Ports, job: Job) -> Volume:
    if ports.catalog.get(Model, job.tenant, job.model_id) is None:
        raise NotFound.of("model", job.model_id)
    volume = ports.catalog.get(Volume, job.tenant, job.volume_id)
    if volume is None:
        raise NotFound.of("volume", job.volume_id)
    return volume


def _call(ports: Ports, job: Job) -> None:
    """Send what the job waits for: a message per shard, or one to finish it."""
    if job.shards == 0 or job.status == "Stopping":
        ports.queue.send(FINISH, [message(job.tenant, job.id)])
        return
    open_shards = (shard for shard in shards.of_job(ports.catalog, job) if not shard.is_done)
    bodies = (message(job.tenant, job.id, index=shard.index) for shard in _in_turn(open_shards))
    while some := list(islice(bodies, MESSAGES_AT_ONCE)):
        ports.queue.send(SHARDS, some)


def _in_turn(found: Iterator[Shard]) -> Iterator[Shard]:
    """The first, which are the smallest and soon show how the job goes; the large; and the small.

    So all workers come to the end at about the same time.
    """
    smallest = list(islice(found, manifest.SHARDS_PER_SIZE))
    small = list(islice(found, manifest.SMALL_SHARDS - len(smallest)))
    return chain(smallest, found, reversed(small))
