"""What moto does not do as S3 does, and what the requests look like."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from hookline.adapters.aws import ranges, upload
from hookline.adapters.aws.blobs import S3Blobs
from hookline.adapters.aws.clients import Clients
from hookline.core.errors import Conflict, Forbidden, InputChanged, NotFound, Unavailable
from hookline.core.ports import BlobWriter
from tests.fakes import FakeClock
from tests.unit.adapters.aws.world import (
    BUCKET,
    REGION,
    fresh_clients,
    make_bucket,
    moto_clients,
    session_in,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
DATA = bytes(range(256)) * 16384  # 4 MiB


@pytest.fixture
def clients() -> Clients:
    return fresh_clients()


@pytest.fixture
def stub(clients: Clients) -> Iterator[Stubber]:
    with Stubber(clients.s3) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def blobs(clients: Clients) -> S3Blobs:
    return S3Blobs(clients, BUCKET)


@pytest.fixture
def moto() -> Iterator[Clients]:
    with moto_clients(FakeClock()) as clients:
        make_bucket(clients, BUCKET)
        yield clients


@contextmanager
def recorded(clients: Clients) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The S3 operations that are performed within, with their parameters."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def see(params: dict[str, Any], model: Any, **_: object) -> None:
        seen.append((model.name, dict(params)))

    clients.s3.meta.events.register("before-parameter-build.s3", see)
    yield seen
    clients.s3.meta.events.unregister("before-parameter-build.s3", see)


def names(seen: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [name for name, _ in seen]


def body(data: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(data), len(data))


def part(data: bytes, total: int, etag: str = '"e"') -> dict[str, Any]:
    return {
        "Body": body(data),
        "ContentLength": len(data),
        "ContentRange": f"bytes 0-{len(data) - 1}/{total}",
        "ETag": etag,
    }


# --- put -----------------------------------------------------------------------------------


def test_a_write_that_meets_another_is_tried_again(blobs: S3Blobs, stub: Stubber) -> None:
    asked = {"Bucket": BUCKET, "Key": "t/a", "Body": b"x", "IfNoneMatch": "*"}
    stub.add_client_error(
        "put_object",
        "ConditionalRequestConflict",
        http_status_code=409,
        expected_params=asked,
    )
    stub.add_response("put_object", {"ETag": '"e"'}, asked)

    blobs.put("t/a", b"x", if_absent=True)

    stub.assert_no_pending_responses()


def test_a_write_that_always_meets_another_may_be_tried_later(
    blobs: S3Blobs, stub: Stubber
) -> None:
    """S3 does not say that the key exists."""
    for _ in range(3):
        stub.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)

    with pytest.raises(Unavailable):
        blobs.put("t/a", b"x", if_absent=True)


def test_a_key_that_exists_is_a_conflict_at_once(blobs: S3Blobs, stub: Stubber) -> None:
    stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)

    with pytest.raises(Conflict, match="exists already"):
        blobs.put("t/a", b"x", if_absent=True)


def test_every_write_carries_a_checksum(moto: Clients) -> None:
    heard: list[str] = []

    def hear(request: AWSPreparedRequest, **_: object) -> None:
        heard.append(str(request.headers["x-amz-sdk-checksum-algorithm"]))

    moto.s3.meta.events.register_first("before-send.s3.PutObject", hear)
    S3Blobs(moto, BUCKET).put("t/a", b"x")
    moto.s3.meta.events.unregister("before-send.s3.PutObject", hear)

    assert len(heard) == 1
    assert "CRC" in heard[0]


def test_a_bucket_that_is_closed_to_us_is_told_apart_from_absence(
    blobs: S3Blobs, stub: Stubber
) -> None:
    stub.add_client_error("head_object", "403", http_status_code=403)
    stub.add_client_error("head_object", "404", http_status_code=404)

    with pytest.raises(Forbidden):
        blobs.stat("t/a")
    assert blobs.stat("t/a") is None


# --- writer --------------------------------------------------------------------------------


def test_small_content_is_one_request(moto: Clients) -> None:
    with recorded(moto) as seen, S3Blobs(moto, BUCKET).writer("t/a") as writer:
        writer.write(b"small")

    assert names(seen) == ["PutObject"]


def test_large_content_goes_in_parts(moto: Clients) -> None:
    blobs = S3Blobs(moto, BUCKET)
    data = DATA * 5
    with recorded(moto) as seen, blobs.writer("t/a") as writer:
        for start in range(0, len(data), 3_000_000):
            writer.write(data[start : start + 3_000_000])

    parts = [asked["Body"].getbuffer().nbytes for name, asked in seen if name == "UploadPart"]
    assert parts == [upload.PART_BYTES, upload.PART_BYTES, len(data) - 2 * upload.PART_BYTES]
    assert names(seen)[0] == "CreateMultipartUpload"
    assert names(seen)[-1] == "CompleteMultipartUpload"
    with blobs.open("t/a") as file:
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(data).digest()


def test_a_writer_that_fails_gives_its_parts_back(moto: Clients) -> None:
    def fail(writer: BlobWriter) -> None:
        writer.write(bytes(upload.PART_BYTES))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), S3Blobs(moto, BUCKET).writer("t/a") as writer:
        fail(writer)

    assert "Uploads" not in moto.s3.list_multipart_uploads(Bucket=BUCKET)


def test_an_upload_that_cannot_be_completed_is_aborted_and_says_why(
    blobs: S3Blobs, stub: Stubber
) -> None:
    stub.add_response("create_multipart_upload", {"UploadId": "u"})
    stub.add_response("upload_part", {"ETag": '"1"', "ChecksumCRC32": "AAAAAA=="})
    stub.add_client_error("complete_multipart_upload", "InternalError", http_status_code=500)
    stub.add_client_error("abort_multipart_upload", "InternalError", http_status_code=500)

    with pytest.raises(Unavailable), blobs.writer("t/a") as writer:
        writer.write(bytes(upload.PART_BYTES))


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("PreconditionFailed", 412, Conflict),
        ("ConditionalRequestConflict", 409, Unavailable),
        ("NoSuchUpload", 404, Unavailable),  # to a repetition of what was done
    ],
)
def test_a_large_write_that_meets_another_is_no_success_and_given_back(
    blobs: S3Blobs, stub: Stubber, code: str, status: int, kind: type[Exception]
) -> None:
    """Of two at once S3 cannot say who wins: it may be nobody, so it is no Conflict."""
    stub.add_response("create_multipart_upload", {"UploadId": "u"})
    stub.add_response("upload_part", {"ETag": '"1"', "ChecksumCRC32": "AAAAAA=="})
    stub.add_client_error("complete_multipart_upload", code, http_status_code=status)
    stub.add_response("abort_multipart_upload", {})

    with pytest.raises(kind), blobs.writer("t/a", if_absent=True) as writer:
        writer.write(bytes(upload.PART_BYTES))

    stub.assert_no_pending_responses()


# --- open ----------------------------------------------------------------------------------


def test_a_file_of_up_to_a_mebibyte_costs_one_request(moto: Clients) -> None:
    blobs = S3Blobs(moto, BUCKET)
    blobs.put("t/a", DATA[: ranges.FIRST_BYTES])
    with recorded(moto) as seen, blobs.open("t/a") as file:
        assert file.read(ranges.FIRST_BYTES + 1) == DATA[: ranges.FIRST_BYTES]

    assert names(seen) == ["GetObject"]


def test_reading_the_rest_costs_one_request_more(moto: Clients) -> None:
    blobs = S3Blobs(moto, BUCKET)
    blobs.put("t/a", DATA)
    with recorded(moto) as seen, blobs.open("t/a") as file:
        assert file.read() == DATA

    assert names(seen) == ["GetObject", "GetObject"]


def test_reading_on_fetches_ever_larger_ranges(moto: Clients) -> None:
    blobs = S3Blobs(moto, BUCKET)
    blobs.put("t/a", DATA * 6)
    read = b""
    with recorded(moto) as seen, blobs.open("t/a") as file:
        while chunk := file.read(100_000):
            read += chunk

    assert read == DATA * 6
    assert len(seen) <= 6


def test_seeking_fetches_little(moto: Clients) -> None:
    blobs = S3Blobs(moto, BUCKET)
    blobs.put("t/a", DATA)
    with recorded(moto) as seen, blobs.open("t/a") as file:
        file.seek(-100, io.SEEK_END)
        tail = file.read(100)
        file.seek(3_000_000)
        middle = file.read(10)

    assert (tail, middle) == (DATA[-100:], DATA[3_000_000:3_000_010])
    fetched = [asked["Range"] for name, asked in seen if name == "GetObject"][1:]
    spans = [[int(edge) for edge in span[6:].split("-")] for span in fetched]
    assert all(last - first < 2 * ranges.AFTER_SEEK_BYTES for first, last in spans)


def test_lines_are_read_across_ranges(moto: Clients) -> None:
    blobs = S3Blobs(moto, BUCKET)
    lines = [b"%07d\n" % number for number in range(400_000)]
    blobs.put("t/a", b"".join(lines))
    with blobs.open("t/a") as file:
        assert list(file) == lines


def test_a_reader_beyond_the_end_finds_nothing(moto: Clients) -> None:
    blobs = S3Blobs(moto, BUCKET)
    blobs.put("t/a", b"abc")
    with blobs.open("t/a") as file:
        file.seek(10)
        assert file.read() == file.read(1) == b""


@pytest.mark.parametrize("code", ["PreconditionFailed", "NoSuchKey"])
def test_a_file_that_changes_while_it_is_read_is_an_error(
    blobs: S3Blobs, stub: Stubber, code: str
) -> None:
    place = {"Bucket": BUCKET, "Key": "t/a"}
    stub.add_response("get_object", part(DATA[:10], 20), {**place, "Range": ANY})
    stub.add_client_error(
        "get_object",
        code,
        expected_params={**place, "Range": "bytes=10-19", "IfMatch": '"e"'},
    )

    with pytest.raises(InputChanged, match="t/a changed"), blobs.open("t/a") as file:
        file.read()


def test_an_empty_file_has_no_range(blobs: S3Blobs, stub: Stubber) -> None:
    stub.add_client_error("get_object", "InvalidRange", http_status_code=416)

    with blobs.open("t/a") as file:
        assert file.read() == b""


def test_a_body_that_breaks_off_is_worth_a_retry(blobs: S3Blobs, stub: Stubber) -> None:
    broken = StreamingBody(io.BytesIO(b"half"), 8)
    stub.add_response("get_object", part(b"12345678", 8) | {"Body": broken})

    with pytest.raises(Unavailable):
        blobs.open("t/a")


def test_an_absent_file_is_named_as_everywhere(blobs: S3Blobs, stub: Stubber) -> None:
    stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)

    with pytest.raises(NotFound, match="There is no file t/a"):
        blobs.open("t/a")


# --- list ----------------------------------------------------------------------------------


def test_a_page_is_filled_over_answers_that_hold_fewer_keys(blobs: S3Blobs, stub: Stubber) -> None:
    def listed(*keys: str, more: str = "") -> dict[str, Any]:
        items = [{"Key": key, "Size": 1, "ETag": '"e"', "LastModified": AT} for key in keys]
        return {"Contents": items, "IsTruncated": bool(more), "NextContinuationToken": more}

    asked = {"Bucket": BUCKET, "Prefix": "t/", "StartAfter": "t/0"}
    stub.add_response("list_objects_v2", listed("t/1", more="m"), asked | {"MaxKeys": 3})
    again = asked | {"MaxKeys": 2, "ContinuationToken": "m"}
    stub.add_response("list_objects_v2", listed("t/2", "t/3", more="n"), again)
    found = blobs.list("t/", after="t/0", limit=3)

    assert [info.key for info in found.items] == ["t/1", "t/2", "t/3"]
    assert found.after == "t/3"
    assert found.items[0].etag == "e"


# --- presign -------------------------------------------------------------------------------


def signed(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    return parts.netloc + parts.path, {
        key: value[0] for key, value in parse_qs(parts.query).items()
    }


def test_a_signed_put_binds_size_and_checksum(blobs: S3Blobs) -> None:
    digest = hashlib.sha256(b"x")
    request = blobs.presign("PUT", "t/a b", sha256=digest.hexdigest(), size_bytes=1, expires_s=60)
    place, query = signed(request.url)

    assert request.method == "PUT"
    assert request.headers == {"x-amz-checksum-sha256": base64.b64encode(digest.digest()).decode()}
    assert place.endswith("amazonaws.com/t/a%20b")
    assert query["X-Amz-SignedHeaders"] == "content-length;host;x-amz-checksum-sha256"
    assert query["X-Amz-Expires"] == "60"
    assert "crc32" not in request.url.lower()


def test_a_signed_put_without_checksum_asks_for_none(blobs: S3Blobs) -> None:
    request = blobs.presign("PUT", "t/a", size_bytes=1)
    _, query = signed(request.url)

    assert request.headers == {}
    assert query["X-Amz-SignedHeaders"] == "content-length;host"
    assert "checksum" not in request.url.lower()


def test_a_signed_get_is_saved_under_its_name(blobs: S3Blobs) -> None:
    request = blobs.presign("GET", "t/jobs/1/é.csv")
    _, query = signed(request.url)

    assert request.headers == {}
    assert query["response-content-disposition"] == "attachment; filename*=UTF-8''%C3%A9.csv"
    assert query["X-Amz-SignedHeaders"] == "host"


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_links_are_of_their_region_and_of_no_older_signature(region: str) -> None:
    clients = Clients(session_in(region))
    place, query = signed(S3Blobs(clients, BUCKET).presign("GET", "t/a").url)

    assert place == f"{BUCKET}.s3.{region}.amazonaws.com/t/a"
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert f"/{region}/s3/" in query["X-Amz-Credential"]


def test_links_to_what_stands_in_for_aws_name_the_bucket_in_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:5555")
    place, _ = signed(S3Blobs(Clients(session_in(REGION)), BUCKET).presign("GET", "t/a").url)

    assert place == f"localhost:5555/{BUCKET}/t/a"
