from __future__ import annotations

import json

import pytest
from botocore.stub import Stubber

from hookline.adapters.aws.topics import publish
from hookline.core.errors import Forbidden, NotFound
from tests.fakes import FakeClock
from tests.unit.adapters.aws.world import fresh_clients, moto_clients

TOPIC = "arn:aws:sns:eu-west-1:123456789012:done"


def test_a_message_reaches_who_subscribed() -> None:
    with moto_clients(FakeClock()) as clients:
        topic = clients.sns.create_topic(Name="done")["TopicArn"]
        queue = clients.sqs.create_queue(QueueName="told")["QueueUrl"]
        arn = clients.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        clients.sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
        )

        publish(clients, topic, b'{"job": 7}')

        [message] = clients.sqs.receive_message(QueueUrl=queue)["Messages"]
        assert json.loads(json.loads(message["Body"])["Message"]) == {"job": 7}


def test_a_topic_that_is_gone_is_not_found() -> None:
    with moto_clients(FakeClock()) as clients, pytest.raises(NotFound):
        publish(clients, TOPIC, b"{}")


def test_wire_a_topic_that_is_not_allowed_is_forbidden() -> None:
    clients = fresh_clients()
    with Stubber(clients.sns) as stub:
        asked = {"TopicArn": TOPIC, "Message": "{}"}
        stub.add_client_error("publish", "AuthorizationError", "no", 403, expected_params=asked)
        with pytest.raises(Forbidden):
            publish(clients, TOPIC, b"{}")
