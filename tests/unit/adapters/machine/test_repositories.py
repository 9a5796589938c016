"""Checkouts: the files of one commit, whole or not at all, and nothing of the repository runs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hookline.adapters.machine import git as git_module
from hookline.adapters.machine import repositories
from hookline.adapters.machine.repositories import checkout
from hookline.core.errors import DeadlineExceeded, InvalidBundle
from tests.gitrepo import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "origin")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


local = partial(checkout, protocols="file")


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def leftovers(cache: Path) -> list[str]:
    """Everything in the cache but its locks."""
    return [path.name for path in cache.glob("*") if path.suffix != ".lock"]


def test_the_default_branch_without_its_history(repository: Repository, cache: Path) -> None:
    repository.commit(old="1")
    (repository.folder / "old.py").unlink()
    repository.commit(inference="x = 1", layers__mine="y = 2")

    found = local(repository.url, "", cache)

    assert files(found) == {"inference.py": "x = 1", "layers/mine.py": "y = 2"}
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [found.name]


def test_a_commit_a_branch_and_tags(repository: Repository, cache: Path) -> None:
    first = repository.commit(a="1")
    repository.git("tag", "v1")
    repository.git("tag", "-a", "v1-signed", "-m", "with a text")
    repository.git("branch", "feature/a")
    second = repository.commit(a="2")

    names = (first, "v1", "v1-signed", "feature/a", "refs/heads/feature/a")
    assert {files(local(repository.url, name, cache))["a.py"] for name in names} == {"1"}
    for name in (second, "main", "HEAD"):
        assert files(local(repository.url, name, cache)) == {"a.py": "2"}
    assert len(leftovers(cache)) == 2


def test_a_branch_is_looked_up_anew(repository: Repository, cache: Path) -> None:
    repository.commit(a="1")
    first = local(repository.url, "main", cache)
    repository.commit(a="2")

    assert files(local(repository.url, "main", cache)) == {"a.py": "2"}
    assert files(first) == {"a.py": "1"}


def test_another_branch_with_the_same_ending_is_not_meant(
    repository: Repository, cache: Path
) -> None:
    repository.commit(a="1")
    repository.git("checkout", "--quiet", "-b", "other/dev")
    repository.commit(a="2")

    with pytest.raises(InvalidBundle, match="no such branch or tag"):
        local(repository.url, "dev", cache)


def test_a_commit_that_is_there_needs_no_server(repository: Repository, cache: Path) -> None:
    digits = repository.commit(a="1")
    found = local(repository.url, digits, cache)
    shutil.rmtree(repository.folder)

    assert local(repository.url, digits, cache, environ={"PATH": "/nosuch"}) == found
    with pytest.raises(InvalidBundle):
        local(repository.url, "main", cache)


@pytest.mark.parametrize("commit", ["nosuch", "0" * 40, "deadbeef"])
def test_a_missing_commit_is_named(commit: str, repository: Repository, cache: Path) -> None:
    repository.commit(a="1")

    with pytest.raises(InvalidBundle) as caught:
        local(repository.url, commit, cache)

    assert f"{repository.url} at {commit}" in caught.value.what
    assert caught.value.hint
    assert leftovers(cache) == []


def test_a_missing_repository_tells_gits_own_words(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InvalidBundle, match="does not appear to be a git repository"):
        local((tmp_path / "nosuch").as_uri(), "main", cache)


def test_an_empty_repository_is_refused(repository: Repository, cache: Path) -> None:
    with pytest.raises(InvalidBundle, match="no default branch"):
        local(repository.url, "", cache)


@pytest.mark.parametrize("target", ["/etc/passwd", "a.py", "../../x"])
def test_a_link_refuses_the_whole_repository(
    target: str, repository: Repository, cache: Path
) -> None:
    (repository.folder / "link").symlink_to(target)
    repository.commit(a="1")

    with pytest.raises(InvalidBundle, match="'link' in it is a link"):
        local(repository.url, "main", cache)

    assert leftovers(cache) == []


def test_no_hook_and_no_filter_runs(repository: Repository, cache: Path, tmp_path: Path) -> None:
    canary = tmp_path / "ran"
    program = f"#!/bin/sh\ntouch {canary}\ncat\n"
    for folder in (".git/hooks", "hooks", ".githooks"):
        for name in ("post-checkout", "post-merge", "reference-transaction"):
            path = repository.folder / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(program)
            path.chmod(0o755)
    (repository.folder / ".gitattributes").write_text("*.py filter=run diff=run\n")
    (repository.folder / ".gitconfig").write_text(f"[filter 'run']\nsmudge = touch {canary}\n")
    shutil.rmtree(repository.folder / ".git/hooks")  # the origin's own would run at its commit
    repository.commit(a="1")

    found = local(repository.url, "main", cache)

    assert files(found)["a.py"] == "1"
    assert not canary.exists()


def test_the_settings_of_this_user_are_not_read(
    repository: Repository, cache: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "ran"
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {canary}\n")
    (hooks / "post-checkout").chmod(0o755)
    (tmp_path / ".gitconfig").write_text(
        f'[init]\ntemplateDir = {hooks.parent}\n[url "ext::false"]\ninsteadOf = file://\n'
    )
    repository.commit(a="1")
    environ = {**os.environ, "HOME": str(tmp_path), "GIT_TEMPLATE_DIR": str(hooks.parent)}

    found = local(repository.url, "main", cache, environ=environ)

    assert files(found) == {"a.py": "1"}
    assert not canary.exists()


def test_git_sees_no_secret_of_the_platform(
    repository: Repository, cache: Path, tmp_path: Path
) -> None:
    repository.commit(a="1")
    spy, seen = tmp_path / "bin" / "git", tmp_path / "seen"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\nenv >> {seen}\nexec {shutil.which("git")} "$@"\n')
    spy.chmod(0o755)
    secrets = {"HOOKLINE_KEY": "hk_s3cret", "AWS_SECRET_ACCESS_KEY": "s3cret", "GIT_ASKPASS": "ask"}
    outside = {"https_proxy": "http://proxy.example", "SSL_CERT_FILE": "/certs.pem"}
    path = f"{spy.parent}:{os.environ['PATH']}"

    local(repository.url, "main", cache, environ={**secrets, **outside, "PATH": path})

    words = seen.read_text()
    assert "s3cret" not in words
    assert "GIT_ASKPASS" not in words
    for line in (
        "https_proxy=http://proxy.example",
        "GIT_SSL_CAINFO=/certs.pem",
        "GIT_ALLOW_PROTOCOL=file",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null",
    ):
        assert line in words.splitlines()


def test_a_submodule_is_left_out(repository: Repository, cache: Path, tmp_path: Path) -> None:
    inner = Repository(tmp_path / "inner")
    inner.commit(secret="1")
    repository.git("submodule", "--quiet", "add", inner.url, "inner")
    repository.commit(a="1")

    found = local(repository.url, "main", cache)

    assert sorted(files(found)) == [".gitmodules", "a.py"]
    assert list((found / "inner").iterdir()) == []


def test_a_repository_that_unpacks_too_large_is_refused(
    repository: Repository, cache: Path
) -> None:
    repository.commit(big="x" * 300_000)  # packs to almost nothing

    with pytest.raises(InvalidBundle, match="at most 200000 bytes"):
        local(repository.url, "main", cache, max_bytes=200_000)

    assert leftovers(cache) == []


def test_a_repository_that_is_too_large_to_fetch_is_refused(
    repository: Repository, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.folder / "noise").write_bytes(os.urandom(300_000))
    repository.commit()
    monkeypatch.setattr(repositories, "_check_files", lambda *_: None)  # the fetch alone must do

    with pytest.raises(InvalidBundle, match="too large"):
        local(repository.url, "main", cache, max_bytes=200_000)

    assert leftovers(cache) == []


def test_too_many_files_are_refused(
    repository: Repository, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit(a="1", b="2", c="3")
    monkeypatch.setattr(repositories, "MAX_FILES", 2)

    with pytest.raises(InvalidBundle, match="at most 2 files"):
        local(repository.url, "main", cache)


def test_a_tree_of_billions_of_files_is_refused(
    repository: Repository, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten folders, each the same ten folders, ten times over: a few hundred bytes."""
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"x")
    lines = [f"100644 blob {blob}\t{index}" for index in range(10)]
    for _ in range(9):
        tree = repository.git("mktree", stdin="".join(f"{line}\n" for line in lines).encode())
        lines = [f"040000 tree {tree}\t{index}" for index in range(10)]
    digits = repository.git("commit-tree", tree, "-m", "bomb")
    repository.git("branch", "bomb", digits)
    monkeypatch.setattr(git_module, "MAX_OUTPUT_BYTES", 1024**2)

    with pytest.raises(InvalidBundle, match="bytes of names"):
        local(repository.url, "bomb", cache)

    assert leftovers(cache) == []


def test_concurrent_checkouts_agree(repository: Repository, cache: Path) -> None:
    digits = repository.commit(a="1")

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(local, repository.url, name, cache) for name in (digits, "main") * 2]
        found = {job.result() for job in jobs}

    assert len(found) == 1
    assert files(found.pop()) == {"a.py": "1"}
    assert len(leftovers(cache)) == 1


@pytest.mark.parametrize("protocols", ["https", "http"])
def test_other_protocols_are_refused_by_git_too(
    protocols: str, repository: Repository, cache: Path, tmp_path: Path
) -> None:
    repository.commit(a="1")
    canary = tmp_path / "ran"

    for url in (repository.url, str(repository.folder), f"ext::touch {canary}", "HTTP://x.example"):
        with pytest.raises(InvalidBundle):
            checkout(url, "main", cache, protocols=protocols)
    with pytest.raises(InvalidBundle):
        checkout("http://127.0.0.1:9/x", "main", cache)

    assert not canary.exists()


def test_a_url_that_looks_like_an_option_is_a_url(cache: Path, tmp_path: Path) -> None:
    canary = tmp_path / "ran"

    for commit in ("main", "a" * 40):
        with pytest.raises(InvalidBundle):
            local(f"--upload-pack=touch {canary}", commit, cache)

    assert not canary.exists()


def test_a_machine_without_git_is_told_what_to_do(repository: Repository, cache: Path) -> None:
    repository.commit(a="1")

    with pytest.raises(InvalidBundle) as caught:
        local(repository.url, "main", cache, environ={"PATH": "/nosuch"})

    assert "no git" in caught.value.why
    assert "apt install git" in caught.value.hint


def test_a_server_that_never_answers_is_given_up(cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(DeadlineExceeded, match="took too long"):
            checkout(url, "a" * 40, cache, protocols="http", timeout_s=0.5)

    assert leftovers(cache) == []


class OldGitServer(BaseHTTPRequestHandler):
    """git over HTTP as before protocol 2: it gives commits that a branch or tag is at, only."""

    origin: Path

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, body: bytes) -> None:
        target = urlsplit(self.path)
        done = subprocess.run(
            ["git", "http-backend"],
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.origin),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": target.path,
                "QUERY_STRING": target.query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            },
            input=body,
            stdout=subprocess.PIPE,
            check=False,
            timeout=30,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def old_server(repository: Repository) -> Iterator[str]:
    handler = type("Handler", (OldGitServer,), {"origin": repository.folder})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/.git"
        server.shutdown()
        thread.join()


def test_a_commit_in_the_history_of_an_old_server(
    old_server: str, repository: Repository, cache: Path
) -> None:
    older = repository.commit(a="1")
    newer = repository.commit(a="2")
    web = partial(checkout, protocols="http")

    assert files(web(old_server, newer, cache)) == {"a.py": "2"}
    assert files(web(old_server, "main", cache)) == {"a.py": "2"}
    assert files(web(old_server, older, cache)) == {"a.py": "1"}
    with pytest.raises(InvalidBundle, match="a" * 40):
        web(old_server, "a" * 40, cache)


def test_what_a_killed_checkout_left_is_cleared(repository: Repository, cache: Path) -> None:
    digits = repository.commit(a="1")
    key = local(repository.url, digits, cache).name
    shutil.rmtree(cache / key)
    (cache / f".{key}-x" / "git").mkdir(parents=True)

    assert files(local(repository.url, digits, cache)) == {"a.py": "1"}
    assert leftovers(cache) == [key]
