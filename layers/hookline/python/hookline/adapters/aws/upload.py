"""A blob that is written to S3: in one request when small, else by a multipart upload."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hookline.adapters.aws.errors import call, code_of
from hookline.core.errors import Conflict, HooklineError, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

Place = dict[str, Any]
"""Bucket and Key, in the words of S3's operations."""

# Two writes at once, and S3 cannot say who wins; an upload whose end was told, and the answer lost.
_UNDECIDED = frozenset({"ConditionalRequestConflict", "NoSuchUpload"})
_TRIES = 3  # of a write that S3 calls off because another one is in flight

log = logging.getLogger(__name__)

PART_BYTES = 8 << 20  # S3's least is 5 MiB
PARTS_PER_SIZE = 1000  # S3 takes 10,000 parts: growing ones make room for terabytes


def put(s3: S3Client, place: Place, data: bytes, *, if_absent: bool) -> None:
    """Write a small object. Raise Conflict when `if_absent` and it exists."""
    if not if_absent:
        call(s3.put_object, **place, Body=data)
        return
    for tries_left in reversed(range(_TRIES)):
        try:
            call(s3.put_object, **place, Body=data, IfNoneMatch="*")
            return
        except Conflict as error:
            if code_of(error) not in _UNDECIDED or not tries_left:
                raise _told(place, error) from error


def _told(place: Place, error: HooklineError) -> HooklineError:
    """What S3 means by refusing the end of a write."""
    if code_of(error) in _UNDECIDED:
        return Unavailable(f"The file {place['Key']} is being written.", hint="Look again.")
    if isinstance(error, Conflict):
        return Conflict(f"The file {place['Key']} exists already.")
    return error


class Upload:
    """Nothing is visible until `finish`; `abort` gives back what S3 keeps of it."""

    def __init__(self, s3: S3Client, place: Place, *, if_absent: bool) -> None:
        self._s3, self._place, self._if_absent = s3, place, if_absent
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
        """Raise Conflict for a key that must be absent and is not."""
        rest = bytes(self._waiting)
        if not self._upload_id:
            put(self._s3, self._place, rest, if_absent=self._if_absent)
            return
        if rest:
            self._send(rest)
        try:
            self._complete()
        except HooklineError as error:  # it would have to be sent from its beginning
            raise _told(self._place, error) from error.__cause__

    def _complete(self) -> None:
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if self._if_absent else {}
        call(
            self._s3.complete_multipart_upload,
            **self._place,
            **condition,
            UploadId=self._upload_id,
            MultipartUpload={"Parts": self._parts},
        )

    def abort(self) -> None:
        """Never raises, since an error is on its way; the bucket's lifecycle ends what stays."""
        if not self._upload_id:
            return
        try:
            call(self._s3.abort_multipart_upload, **self._place, UploadId=self._upload_id)
        except HooklineError as error:
            log.warning("upload_not_aborted", extra={"code": code_of(error)})

    def _part_bytes(self) -> int:
        return int(PART_BYTES << (len(self._parts) // PARTS_PER_SIZE))

    def _send(self, data: bytes) -> None:
        if not self._upload_id:
            begun = call(
                self._s3.create_multipart_upload,
                **self._place,
                ChecksumAlgorithm="CRC32",
            )
            self._upload_id = begun["UploadId"]
        number = len(self._parts) + 1
        sent = call(
            self._s3.upload_part,
            **self._place,
            UploadId=self._upload_id,
            PartNumber=number,
            Body=data,
            ChecksumAlgorithm="CRC32",
        )
        self._parts.append(
            {"PartNumber": number, "ETag": sent["ETag"], "ChecksumCRC32": sent["ChecksumCRC32"]}
        )
