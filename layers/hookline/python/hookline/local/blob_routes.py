"""Signed uploads and downloads: what S3's presigned URLs are on AWS."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

from hookline.adapters.embedded.blobs import FolderBlobs
from hookline.adapters.embedded.signature import ROUTE, SignedBlob, verify
from hookline.core.errors import BadRequest, NotFound
from hookline.runtime.asgi import Headers, Receive, Scope, Send, body_chunks, respond

MAX_UPLOAD_BYTES = 5 * 1024**3  # S3's limit for one PUT
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BlobRoutes:
    """PUT and GET of single blobs, each allowed by the signature in its URL."""

    blobs: FolderBlobs
    secret: bytes

    async def answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        """Raise Forbidden for a bad or expired signature, NotFound, or InvalidInput."""
        method, path = scope["method"], scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        signed_method = "GET" if method == "HEAD" else method
        signed = verify(self.secret, signed_method, path, query, time.time())
        headers = [(b"x-request-id", request_id.encode())]
        if method == "PUT":
            await self._receive(scope, receive, signed)
            await respond(send, 200, headers)
        elif signed_method == "GET":
            await self._send(send, signed.key, headers, is_head=method == "HEAD")
        else:
            raise BadRequest(f"{ROUTE} answers GET and PUT, not {method}.")

    async def _receive(self, scope: Scope, receive: Receive, signed: SignedBlob) -> None:
        """Disk writes leave the event loop; the blob appears when the body is whole and right."""
        limit = MAX_UPLOAD_BYTES if signed.size_bytes is None else signed.size_bytes
        receiving = self.blobs.receiving(signed)
        draft = await asyncio.to_thread(receiving.__enter__)
        try:
            async for chunk in body_chunks(scope, receive, limit):
                await asyncio.to_thread(draft.write, chunk)
        except BaseException as error:
            if not await asyncio.to_thread(
                receiving.__exit__, type(error), error, error.__traceback__
            ):
                raise
        else:
            await asyncio.to_thread(receiving.__exit__, None, None, None)

    async def _send(self, send: Send, key: str, headers: Headers, *, is_head: bool) -> None:
        info = await asyncio.to_thread(self.blobs.stat, key)
        if info is None:
            raise NotFound("The file of this link is gone.", hint="Ask for a new link.")
        name = quote(PurePosixPath(key).name)
        described = [
            *headers,
            (b"content-type", b"application/octet-stream"),
            (b"content-length", str(info.size_bytes).encode()),
            (b"content-disposition", f"attachment; filename*=UTF-8''{name}".encode()),
            (b"etag", f'"{info.etag}"'.encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": described})
        if not is_head:
            with await asyncio.to_thread(self.blobs.open, key) as file:
                await _stream(send, file)
        await send({"type": "http.response.body", "body": b""})


async def _stream(send: Send, file: BinaryIO) -> None:
    while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
