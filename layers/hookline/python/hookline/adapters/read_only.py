"""What linked volumes have in common in both worlds: their files are read and never written."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager
from typing import Literal, NoReturn

from hookline.core.errors import Forbidden
from hookline.core.ports import BlobWriter, SignedRequest


class ReadOnly:
    """Refuses every change, and every link that would pass a file on."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the files are, in words for a person."""

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        del data, if_absent
        self._refuse(key)

    def writer(self, key: str, *, if_absent: bool = False) -> AbstractContextManager[BlobWriter]:
        del if_absent
        self._refuse(key)

    def delete(self, key: str) -> None:
        self._refuse(key)

    def presign(
        self,
        method: Literal["GET", "PUT"],
        key: str,
        *,
        expires_s: int = 3600,
        sha256: str = "",
        size_bytes: int | None = None,
    ) -> SignedRequest:
        del method, expires_s, sha256, size_bytes
        self._refuse(key)

    def _refuse(self, key: str) -> NoReturn:
        raise Forbidden(
            f"The linked file {key} belongs to {self.place}.",
            why="hookline reads what is linked and never changes or passes on its files.",
            hint="Work with the files where they are, or upload them into a volume.",
        )
