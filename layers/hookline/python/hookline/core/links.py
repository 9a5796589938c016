"""Links of volumes: URIs of places that stay where they are, written in one way.

Which links can be followed is for the ports to say: see `Ports.linked`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

_URI = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)(/[^?#]*)?", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """A place of files. `path` is not encoded, and "" or begins with a slash."""

    scheme: str
    host: str
    path: str

    @classmethod
    def parse(cls, uri: str) -> Link | None:
        """The parts of a URI that names a place and nothing else; None for any other text."""
        found = _URI.fullmatch(uri)
        if found is None:
            return None
        try:
            path = unquote(found[3] or "", errors="strict")
        except UnicodeDecodeError:
            return None
        scheme = found[1].lower()
        # Folders have many spellings; the keys of buckets are what they are.
        path = _folder(path) if scheme == "file" and path else path.removesuffix("/")
        return cls(scheme, found[2], path)

    @property
    def uri(self) -> str:
        """The same text for the same place."""
        return f"{self.scheme}://{self.host}{quote(self.path)}"


def canonical(link: str) -> str:
    """A URI, or an absolute path of a folder, as a URI. What is neither stays as it is."""
    parsed = Link("file", "", _folder(link)) if link.startswith("/") else Link.parse(link)
    return parsed.uri if parsed else link


def object_uri(bucket: str, key: str) -> str:
    """The URI of an S3 object, written as those of links are."""
    return f"s3://{bucket}/{quote(key)}"


def name_below(link: str, uri: str) -> str:
    """The name that the file at `uri` has below the canonical `link`; "" if it lies elsewhere."""
    root = link.rstrip("/") + "/"
    return unquote(uri.removeprefix(root)) if uri.startswith(root) else ""


def _folder(path: str) -> str:
    return str(PurePosixPath("/", path.lstrip("/")))
