from __future__ import annotations

import os
from pathlib import Path

from hookline.batch.entries import Source
from hookline.client.files import LocalFile, walk
from hookline.core.ports import Ports
from hookline.local.left_out import WHY, count, left_out


def filled(folder: Path) -> Path:
    (folder / "sub" / ".hidden").mkdir(parents=True)
    for name in ("a", ".b", "sub/c", "sub/.hidden/d"):
        (folder / name).touch()
    (folder / "sub" / "link").symlink_to(folder)
    (folder / os.fsdecode(b"\xff")).mkdir()
    deep = folder.joinpath(*["x" * 250] * 3)
    deep.mkdir(parents=True)
    os.chdir(deep)  # as no path may be that long
    Path("y" * 250, "z" * 250).parent.mkdir()
    Path("y" * 250, "z" * 250).touch()
    os.mkfifo(folder / "pipe")
    return folder


def test_what_is_no_input_has_a_reason_and_the_rest_is_listed(ports: Ports, tmp_path: Path) -> None:
    home = Path.cwd()
    try:
        blobs = ports.linked(filled(tmp_path / "in").as_uri())
    finally:
        os.chdir(home)

    found = {one.name[:8]: one.reason for one in left_out(blobs, "")}

    assert found == {
        ".b": "dotfile",
        "pipe": "not a regular file",
        "sub/.hid": "dotfile",
        "sub/link": "link",
        "xxxxxxxx": "name is too long",
        "\\udcff": "name is not UTF-8",
    }
    assert set(found.values()) <= WHY.keys()
    listed = [info.key for info in blobs.list("").items]
    assert listed == [".b", "a", "sub/.hidden/d", "sub/c"]
    assert count(Source(blobs, ""))["dotfile"] == 2


def test_an_upload_leaves_out_the_same(ports: Ports, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name in ("a", ".b", "sub/c", "sub/.d"):
        (folder / name).touch()
    (folder / "link").symlink_to("a")
    blobs = ports.linked(folder.as_uri())

    uploaded = {one.name for one in walk(folder) if isinstance(one, LocalFile)}

    everything = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != "sub"}
    assert uploaded == everything - {one.name for one in left_out(blobs, "")} == {"a", "sub/c"}
