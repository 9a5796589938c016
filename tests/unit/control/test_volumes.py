from __future__ import annotations

from pathlib import Path

import pytest

from hookline.core.records import volume_prefix
from tests.unit.control.content import deployed, filled_volume, imported
from tests.unit.control.events import USER, Plane


def test_a_volume_is_made_and_shown(plane: Plane) -> None:
    answer = plane("POST", "/v1/volumes", {"name": "pictures"})

    assert answer.status == 201
    assert answer.headers["Location"] == "/v1/volumes/1"
    location = answer.body.pop("location")
    assert location.startswith("file:///")
    assert answer.body == {
        "id": 1,
        "name": "pictures",
        "link": "",
        "created_at": "2023-11-14T22:13:20Z",
    }
    shown = plane.shown("/v1/volumes/1")
    assert (shown["total_files"], shown["size_bytes"]) == (0, 0)
    assert [item["id"] for item in plane.shown("/v1/volumes")["items"]] == [1]


def test_files_and_bytes_are_counted_over_pages(plane: Plane) -> None:
    volume_id = filled_volume(plane, [f"{number:04}.png" for number in range(1005)])

    shown = plane.shown(f"/v1/volumes/{volume_id}")

    assert (shown["total_files"], shown["size_bytes"]) == (1005, 1005 * 8)


def test_dotfiles_are_counted_apart(plane: Plane) -> None:
    volume_id = filled_volume(plane, [".DS_Store", ".git/config", "a.png"])

    shown = plane.shown(f"/v1/volumes/{volume_id}")

    assert (shown["total_files"], shown["dotfiles"]) == (1, 2)


def test_a_volume_that_is_not_there_is_named(plane: Plane) -> None:
    for method, path, body in [
        ("GET", "/v1/volumes/7", None),
        ("DELETE", "/v1/volumes/7", None),
        ("GET", "/v1/volumes/7/files", None),
        ("POST", "/v1/volumes/7/uploads", {"files": [{"name": "a", "size_bytes": 1}]}),
    ]:
        answer = plane(method, path, body)
        assert (answer.status, answer.body["title"]) == (404, "There is no volume 7.")


@pytest.mark.parametrize("as_uri", [True, False])
def test_a_linked_folder_is_kept_as_a_uri_and_read(
    plane: Plane,
    tmp_path: Path,
    as_uri: bool,  # noqa: FBT001 - pytest passes it
) -> None:
    folder = tmp_path / "my pictures"
    folder.mkdir()
    (folder / "ä 1.png").write_bytes(b"123")

    link = folder.as_uri() if as_uri else str(folder)
    volume = plane.made("/v1/volumes", {"name": "v", "link": link})

    assert volume["link"] == volume["location"] == folder.as_uri()
    assert plane.shown("/v1/volumes/1")["size_bytes"] == 3
    [file] = plane.shown("/v1/volumes/1/files")["items"]
    assert (file["name"], file["size_bytes"]) == ("ä 1.png", 3)


@pytest.mark.parametrize(
    ("link", "status"),
    [
        ("/no/such/folder", 404),
        ("relative/folder", 422),
        ("http://example.com/x", 422),
        ("file://otherhost/x", 422),
        ("file:///a?b", 422),
    ],
)
def test_a_link_that_leads_nowhere_is_refused(plane: Plane, link: str, status: int) -> None:
    assert plane("POST", "/v1/volumes", {"name": "v", "link": link}).status == status
    assert plane.shown("/v1/volumes")["items"] == []


def test_a_bucket_cannot_be_linked_on_one_machine_and_the_answer_says_what_can(
    plane: Plane,
) -> None:
    answer = plane("POST", "/v1/volumes", {"name": "v", "link": "s3://photos/in"})

    assert answer.status == 422
    assert "s3://photos/in" in answer.body["title"]
    assert "file:///an/absolute/folder" in answer.body["detail"]


def test_the_platforms_own_folder_cannot_be_linked(plane: Plane, home: Path) -> None:
    for link in (home, home / "blobs", home.parent):
        answer = plane("POST", "/v1/volumes", {"name": "v", "link": str(link)})
        assert answer.status == 403


def test_only_an_admin_links_folders_of_the_server(plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()

    body = {"name": "v", "link": str(tmp_path / "x")}

    assert plane("POST", "/v1/volumes", body, who=USER).status == 403


def test_each_file_gets_a_place_and_a_bad_name_fails_alone(plane: Plane) -> None:
    volume_id = filled_volume(plane, [])
    names = ["a.png", "../b.png", "dir/c.png", "", "/etc/passwd", "n\0l", "x" * 300, 'a,b"c\nd']

    answer = plane(
        "POST",
        f"/v1/volumes/{volume_id}/uploads",
        {"files": [{"name": name, "size_bytes": 1} for name in names]},
    )

    assert answer.status == 201
    slots = answer.body["items"]
    assert [slot["name"] for slot in slots] == names
    accepted = [slot["name"] for slot in slots if slot["request"]]
    assert accepted == ["a.png", "dir/c.png", 'a,b"c\nd']
    for slot in slots:
        assert (slot["request"] is None) == (slot["error"] is not None)
    assert slots[1]["error"]["code"] == "invalid_input"
    assert slots[1]["error"]["hint"] == "Rename the file."
    assert slots[0]["request"]["method"] == "PUT"


def test_too_many_files_at_once_are_refused(plane: Plane) -> None:
    volume_id = filled_volume(plane, [])
    files = [{"name": f"{number}", "size_bytes": 1} for number in range(1001)]

    assert plane("POST", f"/v1/volumes/{volume_id}/uploads", {"files": files}).status == 422
    assert plane("POST", f"/v1/volumes/{volume_id}/uploads", {"files": []}).status == 422


def test_a_file_of_impossible_size_is_refused_alone(plane: Plane) -> None:
    volume_id = filled_volume(plane, [])
    files = [{"name": "a", "size_bytes": -1}, {"name": "b", "size_bytes": 6 * 1024**3}]

    slots = plane.made(f"/v1/volumes/{volume_id}/uploads", {"files": files})["items"]

    assert all(slot["error"]["status"] == 422 for slot in slots)


def test_nothing_is_uploaded_into_a_linked_volume(plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    plane.made("/v1/volumes", {"name": "v", "link": str(tmp_path / "x")})

    answer = plane("POST", "/v1/volumes/1/uploads", {"files": [{"name": "a", "size_bytes": 1}]})

    assert answer.status == 422
    assert "Copy the files" in answer.body["hint"]


def test_files_are_listed_by_name_page_by_page(plane: Plane) -> None:
    volume_id = filled_volume(plane, ["b", "a", "c/d", "é"])
    path = f"/v1/volumes/{volume_id}/files"

    first = plane.shown(f"{path}?limit=3")
    second = plane.shown(f"{path}?limit=3&page_token={first['next_page_token']}")

    assert [file["name"] for file in first["items"]] == ["a", "b", "c/d"]
    assert [file["name"] for file in second["items"]] == ["é"]
    assert second["next_page_token"] == ""
    assert set(first["items"][0]) == {"name", "size_bytes", "etag", "modified_at"}


def test_a_deleted_volume_takes_its_files_with_it(plane: Plane) -> None:
    volume_id = filled_volume(plane, ["a", "b/c"])
    other_id = filled_volume(plane, ["a"])

    assert plane("DELETE", f"/v1/volumes/{volume_id}").status == 204
    assert plane("GET", f"/v1/volumes/{volume_id}").status == 404
    assert not plane.ports.blobs.list(volume_prefix("a", volume_id)).items
    assert plane.shown(f"/v1/volumes/{other_id}")["total_files"] == 1


def test_the_files_of_a_linked_volume_stay(plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.png").write_bytes(b"1")
    plane.made("/v1/volumes", {"name": "v", "link": str(tmp_path / "x")})

    assert plane("DELETE", "/v1/volumes/1").status == 204
    assert (tmp_path / "x" / "mine.png").exists()


def test_a_volume_in_use_stays_with_its_files(plane: Plane) -> None:
    imported(plane)
    batch_id, watched_id = filled_volume(plane), filled_volume(plane)
    hooks_id = filled_volume(plane, ["inference.py"])
    plane.made("/v1/batches", {"model_id": 1, "volume_id": batch_id})
    plane.made(f"/v1/volumes/{watched_id}/triggers", {"model_id": 1})
    deployed(plane, model_id=1, bundle={"volume_id": hooks_id})

    for volume_id in (batch_id, watched_id, hooks_id):
        assert plane("DELETE", f"/v1/volumes/{volume_id}").status == 409
        assert plane.shown(f"/v1/volumes/{volume_id}")["total_files"] == 1


def test_files_of_a_volume_can_be_fetched_and_a_missing_one_fails_alone(plane: Plane) -> None:
    volume_id = filled_volume(plane, ["a/b.png"])

    found = plane.made(f"/v1/volumes/{volume_id}/downloads", {"names": ["a/b.png", "c", "../x"]})

    here, missing, bad = found["items"]
    assert here["request"]["method"] == "GET"
    assert (missing["request"], bad["request"]) == (None, None)
    assert "There is no file c in volume" in missing["error"]["title"]


def test_files_of_a_linked_volume_are_fetched_where_they_are(plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    plane.made("/v1/volumes", {"name": "v", "link": str(tmp_path / "x")})

    answer = plane("POST", "/v1/volumes/1/downloads", {"names": ["a"]})

    assert answer.status == 422
    assert str(tmp_path / "x") in answer.body["hint"]
