"""SNS topics that are told of the end of jobs."""

from __future__ import annotations

from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.errors import call


def publish(clients: Clients, topic: str, body: bytes) -> None:
    """Send a message to a topic."""
    call(clients.sns.publish, TopicArn=topic, Message=body.decode())
