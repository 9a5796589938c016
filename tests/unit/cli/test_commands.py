"""What the commands do, over the API in memory."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import httpx2
import pytest

from tests import onnx_models
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_api import KEY, TOKEN, FakeApi

MODEL = {"id": 2, "name": "m", "format": "onnx", "status": "Ready"}
JOB = {"id": 21, "model_id": 2, "volume_id": 56, "status": "Running"}
GATHERING = ("settle_s", "max_wait_s", "max_files", "suffixes", "marker", "manifest")
FAILURE = {"code": "hook_failed", "message": "init raised.", "trace": "inference.py, line 3\nBoom"}


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "digits.onnx"
    onnx_models.identity(path)
    return path


def test_import_uploads_the_file_and_its_labels(
    model_file: Path, api: FakeApi, hookline: Call
) -> None:
    labels = model_file.with_name("labels.txt")
    labels.write_text("cat\ndog\n\n")

    words = ("model", "import", str(model_file), "--name", "pets", "--labels", str(labels))
    result = hookline(*words, "--mean", "0.5,0.5", "--scale", "0.25", "-o", "json")

    answer = json.loads(result.stdout)
    assert (answer["id"], answer["name"], answer["labels"]) == (1, "pets", ["cat", "dog"])
    assert answer["preparation"] == {"mean": [0.5, 0.5], "scale": 0.25}
    assert model_file.read_bytes() in api.blobs.values()


def test_import_of_a_folder_finds_the_model_and_the_labels(
    model_file: Path, api: FakeApi, hookline: Call
) -> None:
    model_file.with_name("labels.json").write_text('["cat", "dog"]')

    assert hookline("model", "import", str(model_file.parent), "--name", "n").exit_code == 0
    assert api.models[1]["labels"] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("content", "code", "word"),
    [(None, 3, "There is no file"), (b"", 6, "is empty"), (b"version https://git-lfs.x", 6, "LFS")],
)
def test_import_refuses_before_anything_is_sent(
    content: bytes | None, code: int, word: str, tmp_path: Path, api: FakeApi, hookline: Call
) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)

    result = hookline("model", "import", str(path), "--name", "m")

    assert result.exit_code == code
    assert word in result.stderr
    assert not api.requests


def test_a_list_is_read_page_by_page(api: FakeApi, hookline: Call) -> None:
    api.models = {number: MODEL | {"id": number} for number in range(1, 6)}

    assert hookline("model", "list", "-o", "id").stdout == "1\n2\n3\n4\n5\n"
    assert len(api.calls("GET", "/v1/models")) == 3


def test_every_format_shows_the_same_rows(api: FakeApi, hookline: Call) -> None:
    api.volumes[56] = {"id": 56, "name": 'two "words", and a comma', "created_at": ""}

    assert json.loads(hookline("volume", "list", "-o", "json").stdout)[0]["id"] == 56
    assert json.loads(hookline("volume", "list", "-o", "jsonl").stdout)["id"] == 56
    (row,) = csv.DictReader(io.StringIO(hookline("volume", "list", "-o", "csv").stdout))
    assert (row["id"], row["name"]) == ("56", 'two "words", and a comma')
    assert "|          56  |" in hookline("volume", "list").stdout


def test_a_link_to_the_root_has_a_name(api: FakeApi, hookline: Call) -> None:
    assert hookline("volume", "link", "/").exit_code == 0
    assert api.volumes[1]["name"] == "root"


@pytest.mark.parametrize(
    "words",
    [
        ("volume", "link", ""),
        ("volume", "upload", ""),
        ("run", "model.onnx", "7.png", ""),
        ("stream", "predict", "", "7.png"),
        ("model", "deploy", "2", "-f", ""),
        ("check", "hooks", "--file", ""),
    ],
)
def test_a_word_that_is_empty_is_not_the_folder_one_is_in(
    words: tuple[str, ...], api: FakeApi, hookline: Call
) -> None:
    result = hookline(*words)

    assert result.exit_code == 2
    assert "is empty" in result.stderr
    assert not api.requests


def test_a_bucket_is_linked_by_its_uri_as_it_is_given(api: FakeApi, hookline: Call) -> None:
    uri = "s3://photos/a+b%20c/ü"

    assert uri in hookline("volume", "link", uri, "--name", "v", "-o", "csv").stdout
    assert api.volumes[1]["link"] == uri
    assert json.loads(hookline("volume", "show", "1", "-o", "json").stdout)["link"] == uri


def test_an_empty_list_is_empty_in_every_format(hookline: Call) -> None:
    assert hookline("model", "list", "-o", "json").stdout == "[]\n"
    assert hookline("model", "list", "-o", "jsonl").stdout == ""
    assert hookline("model", "list", "-o", "id").stdout == ""
    assert hookline("model", "list", "-o", "csv").stdout.startswith("id,name,")
    assert len(hookline("model", "list").stdout.splitlines()) == 1


def test_the_format_may_stand_before_the_verb(api: FakeApi, hookline: Call) -> None:
    api.models[2] = MODEL

    assert json.loads(hookline("-o", "json", "model", "show", "2").stdout)["id"] == 2


def test_show_prints_a_field_a_line(api: FakeApi, hookline: Call) -> None:
    api.models[2] = MODEL | {"name": "evil\x1b[2J"}

    lines = hookline("model", "show", "2").stdout.splitlines()

    assert "name" in lines[2]
    assert "evil\\x1b[2J" in lines[2]


def test_lists_inside_an_answer_are_shown_as_json(api: FakeApi, hookline: Call) -> None:
    api.models[2] = MODEL | {"labels": ["cat", "dog"]}

    assert '["cat", "dog"]  |' in hookline("model", "show", "2").stdout
    (row,) = csv.DictReader(io.StringIO(hookline("model", "list", "-o", "csv").stdout))
    assert json.loads(row["labels"]) == ["cat", "dog"]


def test_delete_tells_on_stderr_alone(api: FakeApi, hookline: Call) -> None:
    api.models[2] = MODEL

    result = hookline("model", "delete", "2")

    assert (result.stdout, result.stderr) == ("", "Deleted model 2.\n")
    assert not api.models


def test_deploy_uploads_the_hooks_it_is_given(tmp_path: Path, api: FakeApi, hookline: Call) -> None:
    api.models[2] = MODEL
    hooks = tmp_path / "mine.py"
    hooks.write_bytes(b"def init(prm): ...")

    options = ("-a", '{"num_preds": 3}', "--decoder", "exact")
    result = hookline("model", "deploy", "2", "-f", str(hooks), *options)

    assert result.exit_code == 0
    assert api.streams[1]["decoder"] == "exact"
    assert api.streams[1]["bundle"]["filename"] == "mine.py"
    assert api.streams[1]["formatter_args"] == {"num_preds": 3}
    assert hooks.read_bytes() in api.blobs.values()


def test_deploy_and_update_tell_how_inputs_are_padded(api: FakeApi, hookline: Call) -> None:
    api.models[2] = MODEL
    axis = ("--pad-axis", "T", "--pad", "tokens=1", "--pad", "a=b=0.5")
    assert hookline("model", "deploy", "2", "--buckets", "16,32", *axis).exit_code == 0

    values = {"tokens": 1.0, "a=b": 0.5}
    assert api.streams[1]["padding"] == {"buckets": [16, 32], "axis": "T", "values": values}
    assert hookline("model", "deploy", "2", "--buckets", "none").exit_code == 0
    assert api.streams[2]["padding"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--buckets", "32,16"), "ascending"),
        (("--buckets", "0,16"), "ascending"),
        (("--buckets", "a"), "ascending"),
        (("--buckets", "16", "--pad", "tokens"), "tokens=1"),
        (("--buckets", "16", "--pad", "=1"), "tokens=1"),
        (("--pad", "tokens=1"), "need --buckets"),
        (("--pad-axis", "T"), "need --buckets"),
    ],
)
def test_padding_that_makes_no_sense_is_refused(
    hookline: Call, options: tuple[str, ...], words: str
) -> None:
    result = hookline("model", "deploy", "2", *options)

    assert result.exit_code == 2
    assert words in result.stderr


def test_deploy_packs_a_folder_of_hooks(tmp_path: Path, api: FakeApi, hookline: Call) -> None:
    api.models[2] = MODEL
    (tmp_path / "data").mkdir()
    (tmp_path / "inference.py").write_text("x = 1")
    (tmp_path / "data" / "labels.txt").write_text("cat")

    assert hookline("model", "deploy", "2", "-f", str(tmp_path)).exit_code == 0
    (blob,) = api.blobs.values()
    with zipfile.ZipFile(io.BytesIO(blob)) as archive:
        assert archive.namelist() == ["data/labels.txt", "inference.py"]


def test_a_number_is_a_volume_unless_a_file_has_that_name(
    tmp_path: Path, api: FakeApi, hookline: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.models[2] = MODEL
    monkeypatch.chdir(tmp_path)

    assert hookline("model", "deploy", "2", "-f", "56").exit_code == 0
    Path("56").write_bytes(b"x")
    assert hookline("model", "deploy", "2", "-f", "56").exit_code == 0

    assert api.streams[1]["bundle"] == {"volume_id": 56}
    assert api.streams[2]["bundle"]["filename"] == "56"


def test_deploy_with_wait_ends_with_the_running_stream(api: FakeApi, hookline: Call) -> None:
    api.models[2] = MODEL
    api.statuses = [{"status": "Deploying"}, {"status": "Running"}]

    result = hookline("model", "deploy", "2", "--wait", "-o", "json")

    answer = json.loads(result.stdout)
    assert (answer["status"], answer["presigned_token"]) == ("Running", TOKEN)
    assert result.stderr == "Stream 1: Deploying\nStream 1: Running\n"


def test_deploy_with_wait_shows_the_hooks_own_lines(api: FakeApi, hookline: Call) -> None:
    api.models[2] = MODEL
    api.statuses = [{"status": "Failed", "failure": FAILURE}]

    result = hookline("model", "deploy", "2", "--wait")

    assert result.exit_code == 8
    assert result.stdout == ""
    assert "Error: Stream 1 failed. init raised." in result.stderr
    assert "  inference.py, line 3\n  Boom\n" in result.stderr
    assert "Traceback" not in result.stderr


def test_deploy_with_wait_does_not_lose_the_token_when_it_is_late(
    api: FakeApi, hookline: Call
) -> None:
    api.models[2] = MODEL

    result = hookline("model", "deploy", "2", "--wait", "--timeout", "0")

    assert result.exit_code == 9
    assert TOKEN in result.stderr


def test_stream_show_explains_a_failure(api: FakeApi, hookline: Call) -> None:
    api.streams[23] = {"id": 23, "model_id": 2, "status": "Failed", "failure": FAILURE}

    result = hookline("stream", "show", "23")

    assert result.stdout.endswith("\n\ninit raised.\n  inference.py, line 3\n  Boom\n")
    assert "hook_failed" not in result.stdout
    assert "hook_failed" in hookline("stream", "show", "23", "-o", "json").stdout


def test_predict_reads_stdin(hookline: Call) -> None:
    words = ("stream", "predict", TOKEN, "-", "--mime-type", "application/json")

    result = hookline(*words, stdin=b"[1]")

    assert json.loads(result.stdout)["type"] == "application/json"


def test_logs_come_page_by_page_and_cannot_steer_the_terminal(api: FakeApi, hookline: Call) -> None:
    api.streams[23] = {"id": 23, "model_id": 2, "status": "Running"}
    api.logs = ["one\ttab", "two\x1b[2J", "three"]

    assert hookline("stream", "logs", "23").stdout == "one\ttab\ntwo\\x1b[2J\nthree\n"
    assert hookline("stream", "show", "23", "-l").stdout == "one\ttab\ntwo\\x1b[2J\nthree\n"


@pytest.mark.parametrize("noun", ["model", "stream", "volume", "batch"])
def test_details_of_a_list_are_all_fields(
    api: FakeApi, hookline: Call, ncloud: Call, noun: str
) -> None:
    api.models[2] = {"id": 2, "name": "m", "format": "onnx", "status": "Ready"}
    api.streams[23] = {"id": 23, "model_id": 2, "status": "Running"}
    api.volumes[56] = {"id": 56, "name": "v"}
    api.jobs[21] = {"id": 21, "model_id": 2, "volume_id": 56, "status": "Queued"}

    [shown] = json.loads(hookline(noun, "list", "-o", "json").stdout)
    short, row = hookline(noun, "list").stdout.splitlines()
    header, details = hookline(noun, "list", "--details").stdout.splitlines()

    assert [cell.strip() for cell in header.split("|")[1:-1]] == list(shown)
    assert len(short) < len(header) == len(details)
    assert ncloud(f"{noun} list --details").stdout.splitlines() == [header, details]
    assert row.split("|")[1].strip() == details.split("|")[1].strip() == str(shown["id"])


def test_rotate_prints_the_new_token(api: FakeApi, hookline: Call) -> None:
    api.streams[23] = {"id": 23, "model_id": 2, "status": "Running"}

    assert TOKEN in hookline("stream", "rotate", "23").stdout


def test_upload_skips_dotfiles_and_links_and_says_so(
    tmp_path: Path, api: FakeApi, hookline: Call
) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a b.png").write_bytes(b"1")
    (folder / ".hidden").write_bytes(b"2")
    (folder / "link").symlink_to(folder / "sub" / "a b.png")
    (folder / "loop").symlink_to(folder)

    result = hookline("volume", "upload", str(folder), "-o", "json")

    assert json.loads(result.stdout) == {"failed": 0, "id": 1, "success": 1, "total_files": 1}
    assert "Skipped: 1 × dotfile, 2 × link." in result.stderr
    assert api.blobs == {"/blobs/1/sub/a b.png": b"1"}


def test_upload_follows_links_but_not_in_circles(
    tmp_path: Path, api: FakeApi, hookline: Call
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"1")
    (tmp_path / "in" / "link.png").symlink_to("a.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")

    result = hookline("volume", "upload", str(tmp_path / "in"), "--follow-symlinks")

    assert result.exit_code == 0
    assert sorted(api.blobs) == ["/blobs/1/a.png", "/blobs/1/link.png"]


def test_upload_of_one_file_adds_it_to_a_volume(
    tmp_path: Path, api: FakeApi, hookline: Call
) -> None:
    api.volumes[56] = {"id": 56, "name": "tiny"}
    (tmp_path / "a.png").write_bytes(b"1")

    result = hookline("volume", "upload", str(tmp_path / "a.png"), "-i", "56")

    assert "Created" not in result.stderr
    assert api.blobs == {"/blobs/56/a.png": b"1"}


def test_a_failed_file_is_told_and_the_others_are_sent(
    tmp_path: Path, api: FakeApi, hookline: Call
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"1")
    api.refused_files = {"b.png"}

    result = hookline("volume", "upload", str(tmp_path), "-o", "json")

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"failed": 1, "id": 1, "success": 2, "total_files": 3}
    assert "b.png: This name is refused." in result.stderr
    assert "2/3 Uploaded. 1 Failed." in result.stderr


def test_many_failed_files_are_told_once_in_a_while_and_all_counted(
    tmp_path: Path, api: FakeApi, hookline: Call
) -> None:
    names = {f"{number:02}.png" for number in range(30)}
    for name in names:
        (tmp_path / name).write_bytes(b"1")
    api.refused_files = names

    result = hookline("volume", "upload", str(tmp_path), "-o", "json")

    assert json.loads(result.stdout)["failed"] == 30
    assert 10 <= result.stderr.count("This name is refused.") <= 20
    assert "Further files that fail are only counted." in result.stderr


def test_an_upload_that_loses_the_cloud_says_how_to_go_on(
    tmp_path: Path, api: FakeApi, hookline: Call
) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    api.volumes[56] = {"id": 56, "name": "v", "created_at": ""}
    api.script = [httpx2.ConnectError("refused")]

    result = hookline("volume", "upload", str(tmp_path), "-i", "56")

    assert result.exit_code == 8
    assert "go on with -i 56" in result.stderr


def test_an_empty_folder_makes_no_volume(tmp_path: Path, api: FakeApi, hookline: Call) -> None:
    assert hookline("volume", "upload", str(tmp_path)).exit_code == 6
    assert not api.requests


def test_volume_files_are_listed(api: FakeApi, hookline: Call) -> None:
    api.blobs = {f"/blobs/56/{name}": b"1" for name in "abc"}

    result = hookline("volume", "show", "56", "--files", "-o", "jsonl")

    assert [json.loads(line)["name"] for line in result.stdout.splitlines()] == ["a", "b", "c"]


def test_triggers_are_listed_with_what_begins_their_jobs(api: FakeApi, hookline: Call) -> None:
    trigger = {"volume_id": 56, "model_id": 2, "is_on": True}
    api.triggers = {
        1: trigger | {"id": 1, "settle_s": 30, "suffixes": [".jpg", ".png"]},
        2: trigger | {"id": 2, "marker": "_SUCCESS"},
        3: trigger | {"id": 3, "manifest": "files.txt"},
    }

    lines = hookline("volume", "triggers", "56").stdout.replace(" ", "").splitlines()

    assert lines == [
        "|id|volume_id|model_id|settle_s|suffixes|marker|manifest|is_on|",
        '|1|56|2|30|[".jpg",".png"]|||yes|',
        "|2|56|2|0|[]|_SUCCESS||yes|",
        "|3|56|2|0|[]||files.txt|yes|",
    ]


def test_watch_unwatch_and_history(api: FakeApi, hookline: Call) -> None:
    api.volumes[56] = {"id": 56, "name": "in", "location": "/data/in"}
    api.drops = [
        {"trigger_id": 1, "name": "a.png", "outcome": "ignored", "reason": "folder marker"}
    ]

    watched = hookline("volume", "watch", "56", "--model", "2", "--formatter", "classification")
    assert watched.stdout.splitlines()[1].replace(" ", "") == "|1|56|2|0|[]|||yes|"
    assert "/data/in" in watched.stderr
    assert api.triggers[1]["formatter"] == "classification"
    assert "folder marker" in hookline("volume", "triggers", "56", "--history").stdout
    assert "folder marker" in hookline("volume", "history", "56").stdout
    told = json.loads(hookline("volume", "history", "56", "-o", "json").stdout)
    assert [(one["name"], one["outcome"], one["reason"]) for one in told] == [
        ("a.png", "ignored", "folder marker")
    ]
    assert hookline("volume", "unwatch", "56", "-o", "id").stdout == "1\n"


def test_watch_says_how_files_gather(api: FakeApi, hookline: Call) -> None:
    api.volumes[56] = {"id": 56, "name": "in", "location": "/data/in"}

    options = ("--settle", "30", "--max-wait", "600", "--max-files", "50")
    suffixes = ("--suffix", ".jpg, .png", "--suffix", ".gif")
    assert not hookline("volume", "watch", "56", "--model", "2", *options, *suffixes).exit_code
    assert not hookline("volume", "watch", "56", "--model", "2", "--marker", "_SUCCESS").exit_code
    assert not hookline("volume", "watch", "56", "--model", "2", "--manifest", "a").exit_code

    assert [{name: body[name] for name in GATHERING if name in body} for body in api.watched] == [
        {
            "settle_s": 30,
            "max_wait_s": 600,
            "max_files": 50,
            "suffixes": [".jpg", ".png", ".gif"],
        },
        {"marker": "_SUCCESS"},
        {"manifest": "a"},
    ]


def test_notify_says_who_is_told_of_the_end(api: FakeApi, hookline: Call) -> None:
    api.volumes[56] = {"id": 56, "name": "in", "location": "/data/in"}
    api.models[2] = MODEL
    told = ("--notify", "https://example.com/hook")

    assert not hookline("volume", "watch", "56", "--model", "2", *told).exit_code
    assert not hookline("batch", "predict", "2", "56", *told).exit_code

    assert api.watched[0]["notify"] == told[1]
    assert [job["notify"] for job in api.jobs.values()] == [told[1]]


def test_force_takes_a_model_that_differs_for_jobs_and_triggers_too(
    api: FakeApi, hookline: Call
) -> None:
    api.volumes[56] = {"id": 56, "name": "in", "location": "/data/in"}
    api.models[2] = MODEL

    for options in ((), ("--force",)):
        assert not hookline("volume", "watch", "56", "--model", "2", *options).exit_code
        assert not hookline("batch", "predict", "2", "56", *options).exit_code

    assert [body.get("force") for body in api.watched] == [None, True]
    sent = [json.loads(one.content) for one in api.requests if one.url.path == "/v1/batches"]
    assert [body.get("force") for body in sent] == [None, True]


def test_the_secret_of_notices_is_printed(hookline: Call) -> None:
    assert "whsec_AAAA" in hookline("key", "webhook").stdout
    assert json.loads(hookline("key", "webhook", "-o", "json").stdout)["secret"] == "whsec_AAAA"


def test_a_marker_and_a_manifest_are_too_much(hookline: Call) -> None:
    both = ("--marker", "_SUCCESS", "--manifest", "list.txt")

    result = hookline("volume", "watch", "56", "--model", "2", *both)

    assert result.exit_code == 2
    assert "Give either --marker or --manifest." in result.stderr


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ({"status": "Completed", "total": 3, "done": 3, "succeeded": 3}, 0),
        ({"status": "CompletedWithErrors", "total": 3, "done": 3, "failed": 1}, 10),
        ({"status": "Failed", "failure": FAILURE}, 8),
        ({"status": "Stopped"}, 1),
    ],
)
def test_a_watched_job_ends_with_its_exit_code(
    end: dict[str, object], code: int, api: FakeApi, hookline: Call
) -> None:
    api.jobs[21] = dict(JOB)
    api.statuses = [{"total": 3, "done": 1}, end]

    result = hookline("batch", "watch", "21", "-o", "json")

    assert result.exit_code == code
    assert json.loads(result.stdout)["status"] == end["status"]


def test_a_watch_that_loses_the_cloud_says_how_to_go_on(api: FakeApi, hookline: Call) -> None:
    api.jobs[21] = JOB
    api.script = [httpx2.Response(200, json=JOB), httpx2.ConnectError("refused")]

    result = hookline("batch", "watch", "21")

    assert result.exit_code == 8
    assert "watch it with: hookline batch watch 21" in result.stderr
    assert "watch it with" not in hookline("batch", "watch", "99").stderr


def test_ctrl_c_leaves_the_job_running_and_says_so(api: FakeApi, hookline: Call) -> None:
    api.jobs[21] = JOB
    api.script = [KeyboardInterrupt()]

    result = hookline("batch", "watch", "21")

    assert result.exit_code == 130
    assert result.stderr.strip() == "The job continues; watch it with: hookline batch watch 21"


def test_ctrl_c_elsewhere_is_one_word(api: FakeApi, hookline: Call) -> None:
    api.script = [KeyboardInterrupt()]

    result = hookline("model", "list")

    assert (result.exit_code, result.stderr.strip()) == (130, "Interrupted.")


def test_what_was_left_out_of_a_job_is_told_at_its_end(api: FakeApi, hookline: Call) -> None:
    api.jobs[21] = JOB | {"status": "Completed", "left_out": {"dotfile": 2, "link": 1}}

    result = hookline("batch", "watch", "21")

    assert result.stderr.strip() == "Left out, and no rows: 2 × dotfile, 1 × link."


def test_partial_results_need_a_word(tmp_path: Path, api: FakeApi, hookline: Call) -> None:
    api.jobs[21] = JOB | {"status": "Stopped"}
    api.results[21] = b"a.png,7\n"
    target = tmp_path / "r.csv"

    refused = hookline("batch", "results", "21", "-O", str(target))
    assert (refused.exit_code, target.exists()) == (5, False)
    assert "--partial" in refused.stderr.splitlines()[-1]
    assert hookline("batch", "results", "21", "-O", str(target), "--partial").exit_code == 0
    assert target.read_bytes() == b"a.png,7\n"


def test_a_job_that_runs_gives_the_rows_that_are_done_for_a_word(
    api: FakeApi, hookline: Call
) -> None:
    api.jobs[21] = JOB | {"status": "Running", "total": 5, "done": 3}
    api.parts = [
        b'{"i":0,"name":"a","output":"=1"}\n',
        b'{"i":1,"name":"b","output":"-1"}\n{"i":2,"name":"c","output":"8"}\n',
        b'{"i":4,"name":"e","error":{"code":"hook_failed","message":"No."}}\n',
    ]

    refused = hookline("batch", "results", "21")
    given = hookline("batch", "results", "21", "--partial")

    assert refused.exit_code == 5
    assert given.stderr == "Job 21 is Running: 3 of its 5 rows are done.\n"
    assert given.stdout_bytes == b"a,'=1,\r\nb,-1,\r\nc,8,\r\ne,,hook_failed: No.\r\n"


def test_the_rows_of_a_job_that_runs_go_to_a_file_whole_or_not_at_all(
    tmp_path: Path, api: FakeApi, hookline: Call
) -> None:
    api.jobs[21] = JOB | {"status": "Running", "output_format": "jsonl"}
    api.parts = [b'{"i":0,"name":"a","output":"[1]","json":true}\n']
    target = tmp_path / "r.jsonl"
    call = ("batch", "results", "21", "--partial", "-O", str(target))

    assert hookline(*call).exit_code == 0
    assert target.read_bytes() == b'{"path":"a","output":[1],"error":null}\n'
    api.blobs["/blobs/parts/21/0"] = b""
    damaged = hookline(*call)
    assert (damaged.exit_code, "arrived damaged" in damaged.stderr) == (8, True)
    assert target.read_bytes().startswith(b'{"path":"a"')
    api.blobs["/blobs/parts/21/0"] = b'{"i":1,"name":"b","output":"1"}\n'
    assert "Row 1 stands where 0 should" in hookline(*call).stderr
    api.blobs["/blobs/parts/21/0"] = b'{"i":0,"na'
    assert "arrived damaged" in hookline(*call).stderr


def test_damaged_results_replace_nothing(tmp_path: Path, api: FakeApi, hookline: Call) -> None:
    api.jobs[21] = JOB | {"status": "Completed"}
    api.results[21] = b"a.png,7\n"
    api.blobs["/blobs/results/21"] = b"a.png,"
    target = tmp_path / "r.csv"
    target.write_text("yesterday")

    result = hookline("batch", "results", "21", "-O", str(target))

    assert result.exit_code == 8
    assert "damaged" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["r.csv"]
    assert target.read_text() == "yesterday"


def test_results_that_cannot_be_written_are_told_by_the_name_given(
    tmp_path: Path, api: FakeApi, hookline: Call
) -> None:
    api.jobs[21] = JOB | {"status": "Completed"}
    api.results[21] = b"a.png,7\n"

    nowhere = hookline("batch", "results", "21", "-O", str(tmp_path / "no" / "r.csv"))
    folder = hookline("batch", "results", "21", "-O", str(tmp_path))

    assert (nowhere.exit_code, folder.exit_code) == (3, 6)
    assert f"There is no folder {tmp_path}/no" in nowhere.stderr
    assert f"{tmp_path} is a folder" in folder.stderr
    assert list(tmp_path.iterdir()) == []


def test_failed_rows_are_told_with_the_command_that_shows_them(
    api: FakeApi, hookline: Call
) -> None:
    api.jobs[21] = JOB | {"status": "CompletedWithErrors", "failed": 2, "succeeded": 1, "total": 3}

    result = hookline("batch", "watch", "21")

    assert result.exit_code == 10
    assert result.stderr.splitlines()[-2:] == [
        "2 of 3 rows failed; see why with: hookline batch results 21",
        "Predict these again with: hookline batch retry 21 --failed",
    ]


def test_a_retry_sends_only_the_options_that_are_given(api: FakeApi, hookline: Call) -> None:
    api.jobs[21] = JOB | {"status": "CompletedWithErrors", "failed": 2}
    api.first_id = 22

    result = hookline("batch", "retry", "21", "--failed", "--formatter", "raw", "-o", "json")

    [request] = api.calls("POST", "/v1/batches/21/retry")
    assert json.loads(request.content) == {"formatter": "raw"}
    assert json.loads(result.stdout)["retry_of"] == 21


def test_a_retry_needs_to_know_of_what(api: FakeApi, hookline: Call) -> None:
    result = hookline("batch", "retry", "21")

    assert (result.exit_code, api.requests) == (2, [])
    assert "--failed" in result.stderr


def test_results_of_a_running_job_are_a_conflict(api: FakeApi, hookline: Call) -> None:
    api.jobs[21] = JOB

    assert hookline("batch", "results", "21").exit_code == 5


def test_what_the_rows_are_is_sent_as_it_was_given(api: FakeApi, hookline: Call) -> None:
    api.models[2] = api.volumes[57] = {}

    hookline(
        *("batch", "predict", "2", "57", "--split", "lines", "--header", "--join-input"),
        *("--include", "timing, error", "--output-format", "jsonl"),
    )
    hookline("batch", "predict", "2", "57")

    sent, plain = (json.loads(call.content) for call in api.calls("POST", "/v1/batches"))
    assert sent == {
        "model_id": 2,
        "volume_id": 57,
        "split": "lines",
        "has_header": True,
        "joins_input": True,
        "include": ["timing", "error"],
        "output_format": "jsonl",
    }
    assert plain == {"model_id": 2, "volume_id": 57}


def test_a_check_of_a_job_reads_its_csv_as_well(api: FakeApi, hookline: Call) -> None:
    api.jobs[21] = JOB | {"status": "Completed", "succeeded": 3, "total": 3}
    api.results[21] = b"a.png,7\n"

    exact = hookline("batch", "verify", "21", "-o", "json")
    api.blobs["/blobs/results/21"] = b"a.png,8\n"
    damaged = hookline("batch", "verify", "21")

    assert (exact.exit_code, json.loads(exact.stdout)["problems"]) == (0, [])
    assert damaged.exit_code == 8
    assert "arrived damaged" in damaged.stderr


def test_a_check_tells_every_problem_of_every_page(api: FakeApi, hookline: Call) -> None:
    api.jobs[21] = JOB | {"succeeded": 3, "total": 3}
    api.problems = ["One is wrong.", "Two is wrong.", "Three is wrong."]

    result = hookline("batch", "verify", "21")

    assert result.exit_code == 8
    assert result.stderr.splitlines() == api.problems


def test_users_and_keys_come_and_go(api: FakeApi, hookline: Call) -> None:
    assert hookline("user", "create", "ada.lovelace", "--role", "admin").exit_code == 0
    created = hookline("key", "create", "--user", "ada.lovelace", "-o", "json")
    assert json.loads(created.stdout)["key"] == KEY
    assert KEY not in hookline("key", "list", "-o", "json").stdout
    assert hookline("user", "list", "-o", "id").stdout == "ada.lovelace\n"
    assert hookline("key", "delete", "0a1b2c3d4e5f6071").exit_code == 0
    assert hookline("key", "delete", "0a1b2c3d4e5f6071").exit_code == 3
    assert hookline("user", "delete", "ada.lovelace").exit_code == 0
    assert (api.users, api.keys) == ({}, {})


def test_me_says_whom_the_key_speaks_for(hookline: Call) -> None:
    assert json.loads(hookline("user", "me", "-o", "json").stdout)["role"] == "admin"


BUSY = {"requests_per_s": 123.4, "p50_ms": 1.5, "p99_ms": 9.75, "queue_ms": 0.5, "batch_items": 4.0}


def watched(api: FakeApi, hookline: Call, *options: str) -> str:
    api.streams[23] = {"id": 23, "model_id": 2, "status": "Running"}
    api.traffic = [BUSY, {"replicas": 2, "ready_replicas": 1}]
    arguments = ("stream", "show", "23", "--watch", "--every", "0.1", "--times", "2")
    return hookline(*arguments, *options).stdout


def test_a_watched_stream_is_a_line_for_each_look(api: FakeApi, hookline: Call) -> None:
    head, busy, quiet = (line.split("|")[1:-1] for line in watched(api, hookline).splitlines())
    names = [name.strip() for name in head]
    shown = dict(zip(names, (cell.strip() for cell in busy), strict=True))
    assert names[2:8] == [
        "requests_per_s",
        "failed_per_s",
        "p50_ms",
        "p99_ms",
        "queue_ms",
        "batch_items",
    ]
    assert {name: shown[name] for name in BUSY} == {name: str(each) for name, each in BUSY.items()}
    assert [quiet[names.index(name)].strip() for name in ("p50_ms", "replicas")] == ["", "1/2"]


def test_a_watched_stream_is_json_lines_for_a_program(api: FakeApi, hookline: Call) -> None:
    busy, quiet = map(json.loads, watched(api, hookline, "-o", "jsonl").splitlines())
    assert {name: busy[name] for name in BUSY} == BUSY
    assert (quiet["p50_ms"], quiet["ready_replicas"]) == (None, 1)


def test_a_watched_stream_as_csv_has_one_header(api: FakeApi, hookline: Call) -> None:
    head, *rows = csv.reader(watched(api, hookline, "-o", "csv").splitlines())
    assert [len(row) for row in rows] == [len(head)] * 2
    assert rows[0][head.index("p99_ms")] == "9.75"


def test_watching_ends_with_the_stream(api: FakeApi, hookline: Call) -> None:
    api.streams[23] = {"id": 23, "model_id": 2, "status": "Running"}
    api.traffic = [{"status": "Undeployed"}]
    out = hookline("stream", "show", "23", "--watch", "-o", "jsonl").stdout
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["Undeployed"]
