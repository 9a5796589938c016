"""The AWS clients of a process: each made when first used, then shared by every thread.

They are botocore's own: boto3 around them would only make cold starts longer.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.session import Session

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

# Retries happen here; only a replica that starts has more. A function's timeout is 30 s: an answer
# must come before.
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=2,
    read_timeout=8,
    tcp_keepalive=True,
    max_pool_connections=32,
    user_agent_extra="hookline",
)
# Else links would be of an older signature, or to an address that a new bucket does not have yet.
_LINKS = Config(
    signature_version="s3v4",
    s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
)
_BY_PATH = Config(signature_version="s3v4", s3={"addressing_style": "path"})


class Clients:
    """A controller that only reads the catalog never pays for the other clients."""

    def __init__(self, session: Session | None = None) -> None:
        self._given = session
        self._lock = threading.RLock()  # sessions are not safe in threads, clients are

    @property
    def region(self) -> str:
        """Where they call; "" when nobody said."""
        return self._session.get_config_variable("region") or ""

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        client: CloudFormationClient = self._make("cloudformation", _CONFIG)
        return client

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        client: DynamoDBClient = self._make("dynamodb", _CONFIG)
        return client

    @cached_property
    def s3(self) -> S3Client:
        client: S3Client = self._make("s3", _CONFIG.merge(_LINKS))
        if ".amazonaws.com" not in client.meta.endpoint_url:
            # What stands in for AWS has no name for each bucket.
            client = self._make("s3", _CONFIG.merge(_BY_PATH))
        return client

    @cached_property
    def sqs(self) -> SQSClient:
        client: SQSClient = self._make("sqs", _CONFIG)
        return client

    @cached_property
    def sns(self) -> SNSClient:
        client: SNSClient = self._make("sns", _CONFIG)
        return client

    @cached_property
    def ecs(self) -> ECSClient:
        client: ECSClient = self._make("ecs", _CONFIG)
        return client

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        client: CloudWatchLogsClient = self._make("logs", _CONFIG)
        return client

    def _make(self, service: str, config: Config) -> Any:
        with self._lock:
            return self._session.create_client(service, config=config)

    @cached_property
    def _session(self) -> Session:
        return self._given or Session()
