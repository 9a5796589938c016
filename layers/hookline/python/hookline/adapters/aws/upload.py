"""A blob that is written to S3 piece by piece: one request when small, a multipart upload else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hookline.adapters.aws.errors import call, code_of
from hookline.core.errors import HooklineError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

log = logging.getLogger(__name__)

PART_BYTES = 8 << 20  # S3's least is 5 MiB
PARTS_PER_SIZE = 1000  # S3 takes 10,000 parts: growing ones make room for terabytes


class Upload:
    """Nothing is visible until `finish`; `abort` gives back what S3 keeps of it."""

    def __init__(self, s3: S3Client, bucket: str, key: str) -> None:
        self._s3, self._bucket, self._key = s3, bucket, key
        self._upload_id = ""
        self._waiting = bytearray()
        self._parts: list[CompletedPartTypeDef] = []

    def write(self, data: bytes) -> int:
        self._waiting += data
        while len(self._waiting) >= (part_bytes := self._part_bytes()):
            self._send(bytes(memoryview(self._waiting)[:part_bytes]))
            del self._waiting[:part_bytes]
        return len(data)

    def finish(self) -> None:
        rest = bytes(self._waiting)
        if not self._upload_id:
            call(self._s3.put_object, Bucket=self._bucket, Key=self._key, Body=rest)
            return
        if rest:
            self._send(rest)
        call(
            self._s3.complete_multipart_upload,
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._upload_id,
            MultipartUpload={"Parts": self._parts},
        )

    def abort(self) -> None:
        """Never raises, since an error is on its way; the bucket's lifecycle ends what stays."""
        if not self._upload_id:
            return
        try:
            call(
                self._s3.abort_multipart_upload,
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._upload_id,
            )
        except HooklineError as error:
            log.warning("upload_not_aborted", extra={"code": code_of(error)})

    def _part_bytes(self) -> int:
        return int(PART_BYTES << (len(self._parts) // PARTS_PER_SIZE))

    def _send(self, data: bytes) -> None:
        if not self._upload_id:
            begun = call(
                self._s3.create_multipart_upload,
                Bucket=self._bucket,
                Key=self._key,
                ChecksumAlgorithm="CRC32",
            )
            self._upload_id = begun["UploadId"]
        number = len(self._parts) + 1
        sent = call(
            self._s3.upload_part,
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._upload_id,
            PartNumber=number,
            Body=data,
            ChecksumAlgorithm="CRC32",
        )
        self._parts.append(
            {"PartNumber": number, "ETag": sent["ETag"], "ChecksumCRC32": sent["ChecksumCRC32"]}
        )
