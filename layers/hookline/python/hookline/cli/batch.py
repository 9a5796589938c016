"""`hookline batch`: predict, retry, list, show, watch, stop, results, verify."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hookline.cli import exits
from hookline.cli.command import Group
from hookline.cli.options import (
    ID,
    forced,
    serving,
    shape,
    with_force,
    with_list_output,
    with_notify,
    with_output,
    with_serving,
    with_shape,
    with_wait,
)
from hookline.cli.shell import Shell, pass_shell
from hookline.core.errors import Conflict

if TYPE_CHECKING:
    from hookline import Client
    from hookline.client.views import Job

LISTED = ("id", "model_id", "volume_id", "status", "done", "total", "failed", "created_at")
CHECKED = ("id", "status", "succeeded", "failed", "pending", "total")
ENDED = ("id", "status", "succeeded", "failed", "total")


@click.group("batch", cls=Group)
def batch_command() -> None:
    """Predict whole volumes into one CSV."""


@batch_command.command(
    "predict",
    examples=(
        "hookline batch predict 2 56",
        "hookline batch predict 2 56 -f hooks.zip --formatter classification --wait",
        "hookline batch predict 2 56 --notify https://example.com/hook",
        "hookline batch predict 2 57 --split lines --output-format jsonl --join-input",
    ),
)
@click.argument("model_id", type=ID)
@click.argument("volume_id", type=ID)
@with_shape
@with_notify
@with_serving
@with_force
@with_wait
@with_output
@pass_shell
def predict(
    shell: Shell,
    /,
    model_id: int,
    volume_id: int,
    *,
    notify: str,
    is_waiting: bool,
    timeout_s: float,
    **given: Any,
) -> None:
    """Predict every file of a volume; the results are one CSV, a row for each file.

    With --wait the exit code is 10 when some rows failed.
    """
    how, force = shape(given), forced(given)
    with shell.client() as cloud:
        job = cloud.start_batch(
            model_id, volume_id, shape=how, notify=notify, **force, **serving(given)
        )
        if not is_waiting:
            shell.show(job, ("id", "status"))
            return
        from hookline.cli.waiting import wait_for_job  # noqa: PLC0415 - help needs none

        _end(shell, wait_for_job(cloud, job.id, timeout_s))


@batch_command.command(
    "retry",
    examples=(
        "hookline batch retry 21 --failed",
        "hookline batch retry 21 --failed -f mended.zip --wait",
    ),
)
@click.argument("job_id", type=ID)
@click.option("--failed", is_flag=True, required=True, help="Only the rows that failed.")
@with_serving
@with_wait
@with_output
@pass_shell
def retry(
    shell: Shell,
    /,
    job_id: int,
    *,
    failed: bool,  # noqa: ARG001 - says what is to be retried
    is_waiting: bool,
    timeout_s: float,
    **given: Any,
) -> None:
    """Predict the files of a job again that failed; its other rows are taken over.

    The new job has results of every file, in order. Files are taken as they are now, and options
    that are not given as they were. Of a job that was stopped, the missing rows are made too.
    """
    with shell.client() as cloud:
        job = cloud.retry_batch(job_id, **serving(given))
        if not is_waiting:
            shell.show(job, ("id", "status"))
            return
        from hookline.cli.waiting import wait_for_job  # noqa: PLC0415 - help needs none

        _end(shell, wait_for_job(cloud, job.id, timeout_s))


@batch_command.command("list", examples=("hookline batch list", "hookline batch list -o jsonl"))
@with_list_output
@pass_shell
def list_(shell: Shell, /) -> None:
    """List the jobs and how far they are."""
    with shell.client() as cloud:
        shell.show_all(cloud.batches(), LISTED, seed=("id", "model_id", "status"))


@batch_command.command(
    "show", examples=("hookline batch show 21", "hookline batch show 21 -o json")
)
@click.argument("job_id", type=ID)
@with_output
@pass_shell
def show(shell: Shell, /, job_id: int) -> None:
    """Show a job."""
    with shell.client() as cloud:
        shell.show(cloud.batch(job_id))


@batch_command.command(
    "watch", examples=("hookline batch watch 21", "hookline batch watch 21 -o json")
)
@click.argument("job_id", type=ID)
@with_output
@pass_shell
def watch(shell: Shell, /, job_id: int) -> None:
    """Show how far a job is until it ends; Ctrl-C leaves it running.

    The exit code is 10 when some rows failed, 8 when the job failed as a whole.
    """
    from hookline.cli.waiting import wait_for_job  # noqa: PLC0415 - help needs none

    with shell.client() as cloud:
        _end(shell, wait_for_job(cloud, job_id))


@batch_command.command(
    "stop", examples=("hookline batch stop 21", "hookline batch stop 21 -o json")
)
@click.argument("job_id", type=ID)
@with_output
@pass_shell
def stop(shell: Shell, /, job_id: int) -> None:
    """Stop a job between two files; the rows that are done can be downloaded with --partial."""
    with shell.client() as cloud:
        shell.show(cloud.stop_batch(job_id), ("id", "status"))


@batch_command.command(
    "results",
    examples=(
        "hookline batch results 21",
        "hookline batch results 21 -O results.csv",
        "hookline batch results 21 --partial",
    ),
)
@click.argument("job_id", type=ID)
@click.option("-O", "--output-file", metavar="FILE", help="Write here, whole or not at all.")
@click.option("--partial", is_flag=True, help="Accept the rows that are there so far.")
@pass_shell
def results(shell: Shell, /, job_id: int, output_file: str | None, *, partial: bool) -> None:
    """Print the CSV of a job: the path of each file, and its output.

    Of a job that runs, --partial gives the rows that are done, with their errors; others follow.
    """
    with shell.client() as cloud:
        chunks = _chunks(cloud, job_id, is_partial_fine=partial, is_seed=shell.is_seed)
        if output_file:
            from hookline.client.files import replaced  # noqa: PLC0415 - help needs none

            with replaced(Path(output_file)) as target:
                target.writelines(chunks)
            return
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


@batch_command.command(
    "verify", examples=("hookline batch verify 21", "hookline batch verify 21 -o json")
)
@click.argument("job_id", type=ID)
@with_output
@pass_shell
def verify(shell: Shell, /, job_id: int) -> None:
    """Check that every file of a job is one row of its CSV, in order.

    Everything is read again: the list of files, the rows, and the CSV, which is downloaded for it.
    A job that runs is checked as far as it has come. The exit code is 8 when something is wrong.
    """
    with shell.client() as cloud:
        found = cloud.verify_batch(job_id)
    shell.show(found, CHECKED)
    for problem in found.problems:
        exits.say(problem)
    sys.exit(exits.OK if found.is_exact else exits.SERVER)


def _chunks(cloud: Client, job_id: int, *, is_partial_fine: bool, is_seed: bool) -> Iterator[bytes]:
    """The results; of a job that was stopped or still runs, what there is, with a word of it."""
    if is_partial_fine and not (job := cloud.batch(job_id)).has_ended:
        exits.say(f"Job {job_id} is {job.status}: {job.done:,} of its {job.total:,} rows are done.")
        return cloud.rows_so_far(job)
    found = cloud.results(job_id)
    if found.is_partial:
        sentence = f"Job {job_id} was stopped: its results are not of every file."
        if not (is_partial_fine or is_seed):
            raise Conflict(sentence, hint="Take what there is with --partial.")
        exits.say(sentence)
    return cloud.download(found)


def _end(shell: Shell, job: Job) -> None:
    from hookline.cli.waiting import exit_code_of  # noqa: PLC0415 - help needs none

    shell.show(job, ENDED)
    if job.left_out:
        counts = ", ".join(f"{count} × {reason}" for reason, count in job.left_out.items())
        exits.say(f"Left out, and no rows: {counts}.")
    if job.status == "CompletedWithErrors":
        exits.say(
            f"{job.failed:,} of {job.total:,} rows failed; "
            f"see why with: hookline batch results {job.id}\n"
            f"Predict these again with: hookline batch retry {job.id} --failed"
        )
    sys.exit(exit_code_of(job))
