"""What a tenant owns: the table, the bucket and the queues. Nothing here is ever replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from aws_cdk import CfnOutput, Duration, Stack, Tags
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from hookline.core.topology import FUNCTIONS, QUEUES
from stacks.acknowledged import acknowledge
from stacks.constructs.lease_queue import RETENTION, LeaseQueue
from stacks.deploying import removal_policy, stack_options
from stacks.grants import TENANT_TAG
from stacks.settings import Deployment

STALE_UPLOAD = Duration.days(7)
OLD_VERSION = Duration.days(30)
KEPT_PREDICTION = Duration.days(1)  # gateways delete them after an hour, but one may have ended
RULE_BUCKETS = 20  # a pattern has 2,048 characters at most (EventBridge's quotas), a name 63


class StorageStack(Stack):
    """`queues` and `dead` by the names of core.topology; `undelivered` has lost events."""

    def __init__(
        self, scope: Construct, stack_id: str, *, deployment: Deployment, tenant: str
    ) -> None:
        super().__init__(scope, stack_id, **stack_options(deployment, is_stateful=True))
        Tags.of(self).add("hookline:stage", deployment.stage)
        Tags.of(self).add(TENANT_TAG, tenant)
        self.tenant = tenant
        self.table = self._table(deployment)
        self.bucket = self._bucket(deployment)
        made = {
            spec.name: LeaseQueue(self, spec, removal=removal_policy(deployment)) for spec in QUEUES
        }
        self.queues: Mapping[str, sqs.Queue] = {name: one.queue for name, one in made.items()}
        self.dead: Mapping[str, sqs.Queue] = {name: one.dead for name, one in made.items()}
        self.undelivered = self._undelivered(deployment)
        self._drops(deployment.linked_buckets.get(tenant, ()))
        # What `hookline tenant bootstrap` writes the first key to.
        CfnOutput(self, "Table", value=self.table.table_name)
        CfnOutput(self, "Bucket", value=self.bucket.bucket_name)

    def _table(self, deployment: Deployment) -> dynamodb.Table:
        key = dynamodb.AttributeType.STRING
        return dynamodb.Table(  # not TableV2, which no region-agnostic stack can encrypt
            self,
            "Catalog",
            partition_key=dynamodb.Attribute(name="pk", type=key),
            sort_key=dynamodb.Attribute(name="sk", type=key),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=deployment.is_prod,
            removal_policy=removal_policy(deployment),
        )

    def _bucket(self, deployment: Deployment) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "Blobs",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=STALE_UPLOAD,
                    noncurrent_version_expiration=OLD_VERSION,
                    expired_object_delete_marker=True,
                ),
                s3.LifecycleRule(
                    prefix=f"{self.tenant}/predictions/",
                    expiration=KEPT_PREDICTION,
                    noncurrent_version_expiration=KEPT_PREDICTION,
                ),
            ],
            removal_policy=removal_policy(deployment),
        )
        acknowledge(
            bucket,
            "Who reads and writes is known from the API's access log; the account's CloudTrail "
            "adds data events where they are wanted.",
            "S1",
        )
        # On the L1: `event_bridge_enabled=True` would add a custom resource and its function.
        resource = cast("s3.CfnBucket", bucket.node.default_child)
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
                event_bridge_enabled=True
            )
        )
        return bucket

    def _undelivered(self, deployment: Deployment) -> sqs.Queue:
        queue = sqs.Queue(
            self,
            "Undelivered",
            retention_period=RETENTION,
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            removal_policy=removal_policy(deployment),
        )
        acknowledge(queue, "It holds what EventBridge could not deliver: dead letters.", "SQS3")
        return queue

    def _drops(self, linked: Sequence[str]) -> None:
        """Files under volumes, never results, which are in the same bucket; and linked buckets.

        Those belong to others, who switch their events to EventBridge on.
        """
        own = {
            "bucket": {"name": [self.bucket.bucket_name]},
            "object": {"key": [{"prefix": f"{self.tenant}/volumes/"}]},
        }
        for function in FUNCTIONS:
            if function.on_drop:
                queue = self.queues[function.queue]
                self._rule("Dropped", queue, own)
                for first in range(0, len(linked), RULE_BUCKETS):
                    names = list(linked[first : first + RULE_BUCKETS])
                    self._rule(f"Linked{first}", queue, {"bucket": {"name": names}})

    def _rule(self, name: str, queue: sqs.Queue, detail: Mapping[str, Any]) -> None:
        """Objects that are created go to the queue, or to the undelivered."""
        pattern = events.EventPattern(
            source=["aws.s3"], detail_type=["Object Created"], detail=detail
        )
        target = targets.SqsQueue(queue, dead_letter_queue=self.undelivered)
        events.Rule(self, name, event_pattern=pattern, targets=[target])
