"""How many requests hookline makes of AWS: numbers that bills and quotas are worked out from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stacks.cloud.counting import KINDS, Counts, table
from tests.stacks.cloud.report import CALLS, calls_page
from tests.stacks.shared import once

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def counted(cloud_assembly: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counts]:
    return once(tmp_path_factory, "counted", lambda folder: table(cloud_assembly, folder))


def test_predict_calls_ask_aws_nothing_but_the_way_and_that_once_a_second(
    counted: dict[str, Counts],
) -> None:
    assert counted["the first predict call of a second"] == dict.fromkeys(KINDS, 0) | {
        "DynamoDB reads": 3
    }
    assert counted["1,000 others in the same second"] == dict.fromkeys(KINDS, 0)


def test_a_load_is_told_by_one_write(counted: dict[str, Counts]) -> None:
    told = counted["each 10 s of a load on a stream that scales"]
    assert told == dict.fromkeys(KINDS, 0) | {"DynamoDB writes": 1}


def test_a_file_of_a_batch_costs_two_reads_of_s3_and_nothing_else(
    counted: dict[str, Counts],
) -> None:
    assert counted["each of its files"] == dict.fromkeys(KINDS, 0) | {"S3 reads": 2}


def test_the_page_of_requests_is_current(counted: dict[str, Counts]) -> None:
    assert CALLS.read_text() == calls_page(counted), (
        "Write it anew: python -m tests.stacks.cloud.report"
    )
