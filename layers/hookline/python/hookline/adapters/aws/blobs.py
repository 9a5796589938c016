"""Blobs in an S3 bucket."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import quote

from hookline.adapters.aws.bucket import Bucket
from hookline.adapters.aws.errors import call
from hookline.adapters.aws.upload import Upload, put
from hookline.core.ports import BlobWriter, SignedRequest


class S3Blobs(Bucket):
    """Objects are whole or absent by S3's own promise; botocore adds a checksum to each write."""

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        put(self._clients.s3, self._place(key), data, if_absent=if_absent)

    @contextmanager
    def writer(self, key: str, *, if_absent: bool = False) -> Iterator[BlobWriter]:
        upload = Upload(self._clients.s3, self._place(key), if_absent=if_absent)
        try:
            yield upload
            upload.finish()
        except BaseException:
            upload.abort()
            raise

    def delete(self, key: str) -> None:
        call(self._clients.s3.delete_object, **self._place(key))

    def presign(
        self,
        method: Literal["GET", "PUT"],
        key: str,
        *,
        expires_s: int = 3600,
        sha256: str = "",
        size_bytes: int | None = None,
    ) -> SignedRequest:
        """S3 compares the body with the signed size and checksum, and refuses any other."""
        place = self._place(key)
        headers: dict[str, str] = {}
        if method == "GET":
            name = quote(PurePosixPath(key).name)
            place["ResponseContentDisposition"] = f"attachment; filename*=UTF-8''{name}"
        if sha256:
            place["ChecksumSHA256"] = b64encode(bytes.fromhex(sha256)).decode()
            headers["x-amz-checksum-sha256"] = place["ChecksumSHA256"]
        if size_bytes is not None:
            place["ContentLength"] = size_bytes
        url = call(
            self._clients.s3.generate_presigned_url,
            "get_object" if method == "GET" else "put_object",
            Params=place,
            ExpiresIn=expires_s,
        )
        return SignedRequest(method, url, headers)
