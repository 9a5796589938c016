"""A volume of any number of small files that takes no room: its listing is made as it is asked."""

from __future__ import annotations

from hookline.core.ports import MAX_PAGE, BlobInfo, Page

SIZE_BYTES = 1000


class VastVolume:
    """The files `part-00000000.png` and so on. It can only be listed."""

    def __init__(self, files: int) -> None:
        self.files, self.pages = files, 0

    def list(self, prefix: str, *, after: str = "", limit: int = MAX_PAGE) -> Page[BlobInfo]:
        assert not prefix
        self.pages += 1
        first = int(after[5:13]) + 1 if after else 0
        places = range(first, min(first + limit, self.files))
        infos = [BlobInfo(f"part-{n:08d}.png", SIZE_BYTES, f"{n}", 0.0) for n in places]
        return Page(infos, after=infos[-1].key if infos and places[-1] + 1 < self.files else "")
