"""Waiting for a stream or a job to be decided, and saying so on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hookline.cli import exits
from hookline.cli.progress import progress
from hookline.core.errors import BY_CODE, HooklineError, Transient

if TYPE_CHECKING:
    from hookline import Client
    from hookline.client.views import Deployed, Failure, Job, Stream


@contextmanager
def starting() -> Iterator[None]:
    """Say how to have the token of a stream that may have begun when the block is stopped."""
    with exits.on_stop(
        "The stream may have begun: `hookline stream list` shows it, and "
        "`hookline stream rotate ID` makes a token for it."
    ):
        yield


@contextmanager
def keeping(deployed: Deployed) -> Iterator[None]:
    """Tell the token, which is shown once, when the block ends before it has printed it."""
    word = (
        f"The token of stream {deployed.id} is {deployed.presigned_token}. It is shown once; "
        f"`hookline stream rotate {deployed.id}` makes another."
    )
    with exits.on_stop(word):
        try:
            yield
        except Exception:
            exits.say(word)
            raise


def wait_for_stream(cloud: Client, deployed: Deployed, timeout_s: float) -> Stream:
    """The stream when it runs. Raise what made it fail."""
    told = ""

    def on_change(stream: Stream) -> None:
        nonlocal told
        if stream.status != told:
            exits.say(f"Stream {stream.id}: {stream.status}")
            told = stream.status

    stream = cloud.wait_for_stream(deployed.id, timeout_s=timeout_s, on_change=on_change)
    if stream.failure:
        raise failed(f"Stream {stream.id} failed.", stream.failure)
    if stream.status != "Running":
        raise HooklineError(f"Stream {stream.id} is {stream.status}.")
    return stream


def wait_for_update(cloud: Client, stream_id: int, timeout_s: float) -> Stream:
    """The stream when it answers anew. Raise what kept it as it was."""
    with exits.on_stop(f"The update of stream {stream_id} goes on."):
        stream = cloud.wait_for_stream(stream_id, timeout_s=timeout_s)
    if stream.failure:
        is_running = stream.status == "Running"
        what = "could not be updated and answers as before" if is_running else "failed"
        raise failed(f"Stream {stream_id} {what}.", stream.failure)
    return stream


def wait_for_job(cloud: Client, job_id: int, timeout_s: float = float("inf")) -> Job:
    """The job when it has ended, with a bar on the way."""
    word = f"The job continues; watch it with: hookline batch watch {job_id}"
    with exits.on_stop(word), progress(f"Job {job_id}", "rows") as bar:

        def on_change(job: Job) -> None:
            note = f"{job.failed:,} failed" if job.failed else job.status
            bar.show(job.done, job.total, note)

        try:
            return cloud.wait_for_batch(job_id, timeout_s=timeout_s, on_change=on_change)
        except Transient:
            exits.say(word)
            raise


def exit_code_of(job: Job) -> int:
    """0 for a job whose every row succeeded. Raise what made a job fail as a whole."""
    if job.failure and job.status == "Failed":
        raise failed(f"Job {job.id} failed.", job.failure)
    by_status = {"Completed": exits.OK, "CompletedWithErrors": exits.FAILED_ROWS}
    return by_status.get(job.status, exits.OTHER)


def failed(what: str, failure: Failure) -> HooklineError:
    """What ended a stream or a job: always the remote's fault for the exit code, exit 8."""
    known = failure.code in BY_CODE
    why = failure.message if known else f"{failure.code} {failure.message}".strip()
    return HooklineError(what, why=why, trace=failure.trace)
