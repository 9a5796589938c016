"""Files that models and streams are made of, each stored once, under its digest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hookline.client import files, views
from hookline.client.deployment import Serving
from hookline.client.wire import Wire


def store(wire: Wire, path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """Send a file, unless it is stored already; answer its digest."""
    sha256, size_bytes = files.sha256_of(path), path.stat().st_size
    body = {"sha256": sha256, "size_bytes": size_bytes}
    upload = wire.call("POST", "/v1/uploads", views.Upload, body=body)
    if upload.request:
        wire.put(upload.request, lambda: files.chunks(path, on_bytes), size_bytes)
    return sha256


def serving_fields(wire: Wire, serving: Serving) -> dict[str, Any]:
    """What a request's body says of it; a bundle that is a path is sent first."""
    fields: dict[str, Any] = {**serving}
    bundle = fields.get("bundle")
    if isinstance(bundle, int):
        fields["bundle"] = {"volume_id": bundle}
    elif bundle is not None:
        with files.as_bundle(Path(bundle)) as (path, filename):
            fields["bundle"] = {"sha256": store(wire, path), "filename": filename}
    named = {"url": "custom_code_url", "commit": "custom_code_commit"}
    custom_code = {name: fields.pop(ours) for name, ours in named.items() if ours in fields}
    return {**fields, "custom_code": custom_code} if custom_code else fields
