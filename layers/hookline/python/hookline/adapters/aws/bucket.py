"""Reading the objects of an S3 bucket, or of one prefix in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.errors import call
from hookline.adapters.aws.ranges import open_object
from hookline.core.checks import check_blob_key, check_limit
from hookline.core.errors import NotFound
from hookline.core.ports import MAX_PAGE, BlobInfo, Page

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef, ObjectTypeDef


class Bucket:
    """Objects by their keys after `prefix`, which is empty or ends with a slash."""

    def __init__(self, clients: Clients, name: str, prefix: str = "") -> None:
        self._clients, self._name, self._prefix = clients, name, prefix

    def open(self, key: str) -> BinaryIO:
        return open_object(self._clients.s3, self._place(key), key)

    def stat(self, key: str) -> BlobInfo | None:
        try:
            return _info(key, call(self._clients.s3.head_object, **self._place(key)))
        except NotFound:
            return None

    def list(self, prefix: str, *, after: str = "", limit: int = MAX_PAGE) -> Page[BlobInfo]:
        check_limit(limit, MAX_PAGE)
        found: list[BlobInfo] = []
        asked: dict[str, Any] = {"Bucket": self._name, "Prefix": self._prefix + prefix}
        if after:
            asked["StartAfter"] = self._prefix + after
        while True:
            answer = call(self._clients.s3.list_objects_v2, **asked, MaxKeys=limit - len(found))
            found += [self._listed(item) for item in answer.get("Contents", [])]
            is_more = answer["IsTruncated"]
            if not is_more or len(found) >= limit:
                return Page(found, after=found[-1].key if is_more else "")
            # A page may hold fewer keys than were asked for (ListObjectsV2 API).
            asked["ContinuationToken"] = answer["NextContinuationToken"]

    def uri(self, prefix: str) -> str:
        return f"s3://{self._name}/{quote(self._prefix + prefix)}"

    def _place(self, key: str) -> dict[str, Any]:
        """Which object, in the words of S3's operations."""
        return {"Bucket": self._name, "Key": self._prefix + check_blob_key(key)}

    def _listed(self, item: ObjectTypeDef) -> BlobInfo:
        return BlobInfo(
            item["Key"].removeprefix(self._prefix),
            item["Size"],
            item["ETag"].strip('"'),
            item["LastModified"].timestamp(),
        )


def _info(key: str, head: HeadObjectOutputTypeDef) -> BlobInfo:
    modified_at = head["LastModified"].timestamp()
    return BlobInfo(key, head["ContentLength"], head["ETag"].strip('"'), modified_at)
