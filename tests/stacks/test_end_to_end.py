"""A tenant's day on what the stacks deploy, played by moto from the synthesized templates."""

from __future__ import annotations

import json

import pytest

from tests.stacks.cloud import story
from tests.stacks.cloud.played import NEIGHBOURS, TENANT, Played
from tests.stacks.cloud.tenant import FORBIDDEN, REFUSED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# What moto's CloudFormation does not know. API Gateway, the queue's and bucket's policies, scaling
# and alarms are looked at in the templates by other tests.
LEFT_OUT = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::ApiGatewayV2::VpcLink",
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudWatch::Alarm",
    "AWS::ECS::CapacityProvider",
    "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
}
# What outlives what it was about: the history, and who may ask for it.
KEPT_RECORDS = {
    "burst": 1,
    "counter": 5,
    "credential": 1,
    "credential-link": 1,
    "drop": 1,
    "handful": 1,
    "job": 3,
    "shard": 5,
    "stream": 1,
    "sweep": 1,
    "tenant": 1,
    "trigger": 1,
    "user": 1,
}
KEPT_FILES = {"jobs": 14, "triggers": 1}


def test_what_moto_cannot_make_is_known(played: Played) -> None:
    assert played.left_out == LEFT_OUT


def test_nothing_happened_that_aws_or_the_checker_would_not_know(played: Played) -> None:
    assert played.problems == []


def test_a_stream_answers_as_its_model_does(played: Played) -> None:
    truth = dict(
        line.split(",") for line in (story.DIGITS / "truth.csv").read_text().splitlines()[1:]
    )
    labels = {
        name: json.loads(answer)["predictions"][0]["label"]
        for name, answer in played.day.answers.items()
    }
    right = [name for name, label in labels.items() if truth[name] == label]
    assert len(labels) == story.FILES
    assert len(right) >= story.FILES - 1


def test_a_body_by_reference_is_answered_later_as_it_would_be_at_once(played: Played) -> None:
    assert played.day.later == next(iter(played.day.answers.values()))


def test_the_rows_of_a_batch_are_the_answers_of_the_stream(played: Played) -> None:
    assert dict(played.day.rows) == played.day.answers
    assert [name for name, _ in played.day.rows] == sorted(story.images())


def test_a_file_that_is_dropped_is_predicted(played: Played) -> None:
    ((name, output),) = played.day.dropped
    assert [name] == list(story.images(story.FILES, 1))
    assert json.loads(output)["predictions"]


def test_a_stopped_job_ends_without_the_rows_that_were_not_begun(played: Played) -> None:
    assert (played.day.stopped["status"], played.day.stopped["done"]) == ("Stopped", 0)


def test_the_reconciler_made_the_service_of_the_stream(played: Played) -> None:
    assert played.day.services == [f"{TENANT}--stream-1"]


def test_nothing_is_left_over(played: Played) -> None:
    assert played.day.after_undeploy == REFUSED
    assert played.left == {
        "messages": {},
        "dead": {},
        "records": KEPT_RECORDS,
        "files": KEPT_FILES,
    }
    assert set(played.day.gone) == {"INACTIVE"}
    assert played.day.running == []


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_the_streams_of_neighbours_run_on(played: Played, name: str) -> None:
    """Also those of a tenant whose name begins with this one's, whatever its reconciler removed."""
    found = played.neighbours[name]
    assert (found.stream, found.ready_replicas, found.service) == ("Running", 1, "ACTIVE")


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_the_key_of_a_neighbour_opens_nothing(played: Played, name: str) -> None:
    assert played.neighbours[name].opened == FORBIDDEN
