"""Writes docs/reference/rights.md and aws-calls.md: `python -m tests.stacks.cloud.report`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hookline.batch.manifest import FIRST_SHARD_FILES, MAX_SHARD_FILES, SHARDS_PER_SIZE
from tests.stacks.cloud.counting import KINDS, Counts, table
from tests.stacks.cloud.least import Right, rights
from tests.stacks.cloud.played import TENANT, TENANTS, Played, play
from tests.stacks.cloud.rights import Statement
from tests.stacks.cloud.telling import TOPIC

DOCS = Path(__file__).parents[3] / "docs" / "reference"
RIGHTS, CALLS = DOCS / "rights.md", DOCS / "aws-calls.md"
LINKED, TOLD = {TENANT: ["photos"]}, {TENANT: [TOPIC]}
AGAIN = "`python -m tests.stacks.cloud.report` writes this page anew, and a test keeps it current."

# Rights that no call of hookline's own code used, by how they are shown: who uses them.
REASONED: Mapping[str, str] = {
    "logs:CreateLogStream": "Lambda, before the function runs",
    "logs:PutLogEvents": "Lambda, for what the function logs",
    "sqs:GetQueueAttributes": "Lambda's poller, which looks at the queue it is to poll",
    "ecr:BatchCheckLayerAvailability": "ECS's agent, to pull the image",
    "ecr:BatchGetImage": "ECS's agent, to pull the image",
    "ecr:GetAuthorizationToken": "ECS's agent, to pull the image",
    "ecr:GetDownloadUrlForLayer": "ECS's agent, to pull the image",
}


def reason(right: Right, role: Sequence[Statement]) -> str:
    """Why a role has a right that nothing here used; "" when there is no reason."""
    is_polled = Right("sqs:ReceiveMessage", right.resource) in rights(role)
    if right.action == "sqs:GetQueueAttributes" and not is_polled:
        return ""
    return REASONED.get(right.action, "")


def rights_page(found: Played) -> str:
    return "\n".join(_rights_lines(found)) + "\n"


def _rights_lines(found: Played) -> Iterator[str]:
    yield "# Rights on AWS"
    yield ""
    yield (
        "Every right of every role of a tenant, here of one called `acme` that may link the bucket "
        "`photos` and tell the topic `done`, and the requests that used it when the tests played a "
        "whole day of that tenant. Each request that was made was allowed, and without its right "
        "it would have been refused."
    )
    yield ""
    yield AGAIN
    for principal in found.principals():
        yield ""
        yield f"## {principal.partition('.')[2]}"
        yield ""
        yield "| action | on | used by |"
        yield "| --- | --- | --- |"
        yield from _rows(found, principal)


def _rows(found: Played, principal: str) -> Iterator[str]:
    requests = [one for one in found.requests if one.principal == principal]
    for right in sorted(set(rights(found.rights[principal])), key=lambda one: one.shown):
        used = {
            one.operation.partition(":")[2]
            for one in requests
            if any(right.is_used_by(call) for call in one.calls)
        }
        by = ", ".join(sorted(used)) or f"*{reason(right, found.rights[principal])}*"
        action, _, place = right.shown.partition(" on ")
        yield f"| {action} | {place} | {by} |"


def calls_page(counted: Mapping[str, Counts]) -> str:
    return "\n".join(_calls_lines(counted)) + "\n"


def _calls_lines(counted: Mapping[str, Counts]) -> Iterator[str]:
    yield "# Requests to AWS"
    yield ""
    yield (
        "How many requests hookline makes, counted while the tests run the deployed functions and "
        "processes. Requests per batch, shard and file come from batches of three sizes; a fourth "
        f"is foretold by them exactly. Shards have {FIRST_SHARD_FILES} files at first, twice as "
        f"many after every {SHARDS_PER_SIZE}, and {MAX_SHARD_FILES:,} at most."
    )
    yield ""
    yield AGAIN
    yield ""
    yield f"| what | {' | '.join(KINDS)} |"
    yield f"| --- |{' ---: |' * len(KINDS)}"
    for what, counts in counted.items():
        yield f"| {what} | {' | '.join(str(counts[kind]) for kind in KINDS)} |"
    yield ""
    yield (
        "A gateway keeps what it has read of a token for a second, so it makes at most three reads "
        "per second and token, however many predict calls there are. "
        "The requests of a deployment include the reconciler's at each change of its task. "
        "SQS has the deletions and receptions that Lambda makes in a function's name, but not its "
        "polls of empty queues."
    )
    yield ""
    yield (
        "Left out is what depends on time: a worker extends its lease every 5 s, looks every half "
        "second whether its job stops (two reads), and keeps the rows it has every 10 s (a write); "
        "every five minutes the schedule looks for overdue jobs (a read and a write). A load that "
        "rises is told at once, with a message of SQS. Small steps are not in the slopes: one "
        "`SendMessageBatch` per 10 shards, one transaction per 100, one listing per 1,000 files."
    )


def main() -> None:
    """Synthesize, play and write."""
    os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
    from tests.stacks.cloud.synthesis import synthesize  # noqa: PLC0415 - needs the CDK

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        assembly = synthesize(folder / "cdk", TENANTS, LINKED, TOLD)
        found = play(assembly, folder / "played")
        RIGHTS.write_text(rights_page(found))
        print("\n".join(found.log))  # noqa: T201 - shows what was played
        CALLS.write_text(calls_page(table(assembly, folder / "counted")))
    sys.exit(0)


if __name__ == "__main__":
    main()
