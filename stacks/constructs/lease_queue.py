"""A queue of core.topology, and the queue of its dead letters."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from hookline.core.topology import QueueSpec

RETENTION = Duration.days(14)  # SQS's most: a weekend and a holiday to look into dead letters


class LeaseQueue(Construct):
    """`queue` and `dead`."""

    def __init__(self, scope: Construct, spec: QueueSpec, *, removal: RemovalPolicy) -> None:
        super().__init__(scope, spec.name.title())
        is_fifo = True if spec.is_fifo else None  # CloudFormation takes no `false`
        self.dead = sqs.Queue(
            self,
            "Dead",
            fifo=is_fifo,
            retention_period=RETENTION,
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            removal_policy=removal,
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            fifo=is_fifo,
            # Every stream and job has its own group; the queue's limits would hold for all of them.
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if is_fifo else None,
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if is_fifo else None,
            delivery_delay=Duration.seconds(spec.delay_s),
            visibility_timeout=Duration.seconds(spec.lease_s),
            retention_period=RETENTION,
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead, max_receive_count=spec.max_receives
            ),
            removal_policy=removal,
        )
