"""The control API in memory, with the documented JSON shapes, behind httpx2's own transport."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import httpx2

from hookline.core.errors import (
    Conflict,
    HooklineError,
    InvalidInput,
    NotFound,
    Unauthenticated,
    problem,
)

KEY = "hk_" + "ab" * 32
TOKEN = "8e51" * 15 + "0b4b"
NOW = "2026-01-02T03:04:05Z"
PAGE_ITEMS = 2

Json = dict[str, Any]


@dataclass
class FakeApi:
    """What the cloud holds. `script` answers before the API does, once for each entry."""

    models: dict[int, Json] = field(default_factory=dict)
    streams: dict[int, Json] = field(default_factory=dict)
    volumes: dict[int, Json] = field(default_factory=dict)
    jobs: dict[int, Json] = field(default_factory=dict)
    triggers: dict[int, Json] = field(default_factory=dict)
    watched: list[Json] = field(default_factory=list)
    drops: list[Json] = field(default_factory=list)
    users: dict[str, Json] = field(default_factory=dict)
    keys: dict[str, Json] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)
    traffic: list[dict[str, Any]] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    results: dict[int, bytes] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    statuses: list[Json] = field(default_factory=list)
    script: list[httpx2.Response | BaseException] = field(default_factory=list)
    requests: list[httpx2.Request] = field(default_factory=list)
    refused_files: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    first_id: int = 1

    @property
    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self._handle)

    def calls(self, method: str, path: str) -> list[httpx2.Request]:
        return [r for r in self.requests if (r.method, r.url.path) == (method, path)]

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if self.script:
            scripted = self.script.pop(0)
            if isinstance(scripted, BaseException):
                raise scripted
            return scripted
        try:
            return self._route(request)
        except HooklineError as error:
            return problem_response(error)

    def _route(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path.startswith("/blobs/"):
            return self._blob(request, path)
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if path == "/predict":
            return self._predict(request, bearer)
        if bearer != KEY:
            raise Unauthenticated("The key is missing or wrong.", hint="Set HOOKLINE_KEY.")
        for method, pattern, answer in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method == request.method:
                return answer(self, request, *found.groups())
        raise NotFound(f"There is no route {request.method} {path}.")

    def _blob(self, request: httpx2.Request, path: str) -> httpx2.Response:
        if "Authorization" in request.headers:
            return httpx2.Response(400, text="a signed request carries no key")
        if request.method == "PUT":
            self.blobs[path] = request.content
            return httpx2.Response(200)
        return httpx2.Response(200, content=self.blobs[path])

    def _predict(self, request: httpx2.Request, bearer: str) -> httpx2.Response:
        if bearer != TOKEN:
            raise Unauthenticated("The token is missing or wrong.")
        answer = {"outputs": [0.0, 1.0], "shape": [2, 1], "type": request.headers["Content-Type"]}
        return httpx2.Response(200, json=answer)

    def upload(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        path = f"/blobs/{body['sha256']}"
        signed = None if path in self.blobs else {"method": "PUT", "url": path, "headers": {}}
        return httpx2.Response(201, json={"sha256": body["sha256"], "request": signed})

    def create_model(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        content = self.blobs[f"/blobs/{body['sha256']}"]
        if sha256(content).hexdigest() != body["sha256"]:
            raise InvalidInput("The digest differs.")
        tensor = {"name": "x", "dtype": "float32", "shape": [-1, 4]}
        return self._created(
            self.models,
            {
                "name": body["name"],
                "format": "onnx",
                "status": "Ready",
                "sha256": body["sha256"],
                "size_bytes": len(content),
                "inputs": [tensor],
                "outputs": [tensor],
                "labels": body.get("labels", []),
                "preparation": body.get("preparation", {}),
                "created_at": NOW,
            },
        )

    def create_stream(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        self._known("model", self.models, str(body["model_id"]))
        return self._created(
            self.streams,
            {
                **serving_of(body),
                "model_id": body["model_id"],
                "status": "Deploying",
                "failure": None,
            },
            presigned_token=TOKEN,
        )

    def delete_stream(self, _: httpx2.Request, stream_id: str) -> httpx2.Response:
        stream = self._known("stream", self.streams, stream_id)
        stream["status"] = "Undeploying"
        return httpx2.Response(202, json={"id": stream["id"], "status": "Undeploying"})

    def show_stream(self, _: httpx2.Request, stream_id: str) -> httpx2.Response:
        stream = self._known("stream", self.streams, stream_id)
        stream |= self.statuses.pop(0) if self.statuses else {}
        return httpx2.Response(200, json=stream)

    def stream_logs(self, request: httpx2.Request, stream_id: str) -> httpx2.Response:
        self._known("stream", self.streams, stream_id)
        after = int(request.url.params["after"])
        lines = self.logs[after : after + PAGE_ITEMS]
        return httpx2.Response(200, json={"lines": lines, "after": after + len(lines)})

    def stream_traffic(self, _: httpx2.Request, stream_id: str) -> httpx2.Response:
        stream = self._known("stream", self.streams, stream_id)
        told = self.traffic.pop(0) if self.traffic else {}
        return httpx2.Response(200, json={"id": stream["id"], "status": "Running", **told})

    def rotate(self, _: httpx2.Request, stream_id: str) -> httpx2.Response:
        self._known("stream", self.streams, stream_id)
        return httpx2.Response(201, json={"id": int(stream_id), "presigned_token": TOKEN})

    def create_volume(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        fields = {"name": body["name"], "link": body.get("link", ""), "created_at": NOW}
        return self._created(self.volumes, {**fields, "location": "/data/volumes/1"})

    def volume_slots(self, request: httpx2.Request, volume_id: str) -> httpx2.Response:
        self._known("volume", self.volumes, volume_id)
        items = [self._slot(volume_id, each) for each in json.loads(request.content)["files"]]
        return httpx2.Response(201, json={"items": items})

    def _slot(self, volume_id: str, wanted: Json) -> Json:
        name = wanted["name"]
        if name in self.refused_files:
            refusal = problem(InvalidInput("This name is refused."), request_id="r-1")
            return {"name": name, "request": None, "error": refusal}
        url = f"http://127.0.0.1:8700/blobs/{volume_id}/{name}"
        signed = {"method": "PUT", "url": url, "headers": {"X-Signed": "yes"}}
        return {"name": name, "request": signed, "error": None}

    def volume_files(self, request: httpx2.Request, volume_id: str) -> httpx2.Response:
        prefix = f"/blobs/{volume_id}/"
        found = sorted(path for path in self.blobs if path.startswith(prefix))
        items = [
            {"name": path.removeprefix(prefix), "size_bytes": len(self.blobs[path])}
            for path in found
        ]
        return page_of(request, items)

    def create_trigger(self, request: httpx2.Request, volume_id: str) -> httpx2.Response:
        body = json.loads(request.content)
        self._known("volume", self.volumes, volume_id)
        self.watched.append(body)
        fields = {"volume_id": int(volume_id), "model_id": body["model_id"], "is_on": True}
        return self._created(self.triggers, {**serving_of(body), **fields})

    def delete_triggers(self, _: httpx2.Request, volume_id: str) -> httpx2.Response:
        ours = [t for t in self.triggers.values() if t["volume_id"] == int(volume_id)]
        items = [trigger | {"is_on": False} for trigger in ours]
        return httpx2.Response(200, json={"items": items})

    def create_job(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        self._known("model", self.models, str(body["model_id"]))
        self._known("volume", self.volumes, str(body["volume_id"]))
        fields = serving_of(body) | {"model_id": body["model_id"], "volume_id": body["volume_id"]}
        counts = {"total": 0, "done": 0, "succeeded": 0, "failed": 0}
        rest = {"status": "Received", "trigger_id": None, "failure": None, "created_at": NOW}
        rest["notify"] = body.get("notify", "")
        return self._created(self.jobs, fields | counts | rest)

    def show_job(self, _: httpx2.Request, job_id: str) -> httpx2.Response:
        job = self._known("batch", self.jobs, job_id)
        job |= self.statuses.pop(0) if self.statuses else {}
        return httpx2.Response(200, json=job)

    def retry_job(self, request: httpx2.Request, job_id: str) -> httpx2.Response:
        earlier = self._known("batch", self.jobs, job_id)
        fields = earlier | json.loads(request.content)
        return self._created(self.jobs, fields | {"status": "Received", "retry_of": int(job_id)})

    def stop_job(self, _: httpx2.Request, job_id: str) -> httpx2.Response:
        job = self._known("batch", self.jobs, job_id)
        job["status"] = "Stopping"
        return httpx2.Response(202, json={"id": job["id"], "status": "Stopping"})

    def job_results(self, _: httpx2.Request, job_id: str) -> httpx2.Response:
        job = self._known("batch", self.jobs, job_id)
        content = self.results.get(int(job_id))
        if content is None:
            raise Conflict(f"Job {job_id} has not ended.", hint="Watch it.")
        path = f"/blobs/results/{job_id}"
        self.blobs.setdefault(path, content)
        answer = {
            "id": int(job_id),
            "status": job["status"],
            "is_partial": job["status"] == "Stopped",
            "size_bytes": len(content),
            "sha256": sha256(content).hexdigest(),
            "request": {"method": "GET", "url": path, "headers": {}},
        }
        return httpx2.Response(200, json=answer)

    def job_parts(self, request: httpx2.Request, job_id: str) -> httpx2.Response:
        self._known("batch", self.jobs, job_id)
        items = []
        for index, part in enumerate(self.parts):
            path = f"/blobs/parts/{job_id}/{index}"
            self.blobs.setdefault(path, part)
            signed = {"method": "GET", "url": path, "headers": {}}
            first, rows = json.loads(part.partition(b"\n")[0])["i"], part.count(b"\n")
            counts = {"succeeded": rows, "failed": 0}
            items.append({"index": index, "first": first, **counts, "request": signed})
        return page_of(request, items)

    def verify_job(self, request: httpx2.Request, job_id: str) -> httpx2.Response:
        job = self._known("batch", self.jobs, job_id)
        found = page_of(request, [{"problem": text} for text in self.problems])
        page = json.loads(found.content)
        answer = {name: job[name] for name in ("id", "status")}
        problems = [item["problem"] for item in page["items"]]
        token = {"next_page_token": page["next_page_token"]}
        return httpx2.Response(200, json=answer | token | {"pending": 0, "problems": problems})

    def me(self, _: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"tenant": "default", "user": "admin", "role": "admin"})

    def create_user(self, request: httpx2.Request) -> httpx2.Response:
        user = json.loads(request.content) | {"created_at": NOW}
        self.users[user["name"]] = user
        return httpx2.Response(201, json=user)

    def delete_user(self, _: httpx2.Request, name: str) -> httpx2.Response:
        self.users.pop(name)
        return httpx2.Response(204)

    def create_key(self, request: httpx2.Request) -> httpx2.Response:
        user = json.loads(request.content).get("user", "admin")
        fields = {"id": "0a1b2c3d4e5f6071", "label": "hk_abab", "user": user}
        self.keys[fields["id"]] = fields | {"created_at": NOW}
        return httpx2.Response(201, json=fields | {"key": KEY})

    def make_webhook_secret(self, _: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(201, json={"secret": "whsec_AAAA"})

    def delete_key(self, _: httpx2.Request, key_id: str) -> httpx2.Response:
        if self.keys.pop(key_id, None) is None:
            raise NotFound.of("key", key_id)
        return httpx2.Response(204)

    def _created(self, kind: dict[int, Json], fields: Json, **secrets: str) -> httpx2.Response:
        new_id = max(kind, default=self.first_id - 1) + 1
        kind[new_id] = {"id": new_id, **fields}
        return httpx2.Response(201, json=kind[new_id] | secrets)

    def _known(self, kind: str, table: dict[int, Json], record_id: str) -> Json:
        if int(record_id) not in table:
            raise NotFound.of(kind, record_id)
        return table[int(record_id)]


def serving_of(body: Json) -> Json:
    return {
        "bundle": body.get("bundle"),
        "custom_code": body.get("custom_code"),
        "formatter": body.get("formatter", "raw"),
        "formatter_args": body.get("formatter_args", {}),
        "decoder": body.get("decoder", "pillow"),
        "padding": body.get("padding"),
        "device": body.get("device", "cpu"),
        "gpus": body.get("gpus", 0),
        "created_at": NOW,
    }


def page_of(request: httpx2.Request, items: list[Json]) -> httpx2.Response:
    start = int(request.url.params.get("page_token", "0"))
    rest = start + PAGE_ITEMS
    token = str(rest) if rest < len(items) else ""
    return httpx2.Response(200, json={"items": items[start:rest], "next_page_token": token})


def problem_response(error: HooklineError, **headers: str) -> httpx2.Response:
    headers["Content-Type"] = "application/problem+json"
    body = problem(error, request_id="r-1")
    return httpx2.Response(error.status, json=body, headers=headers)


Answer = Callable[..., httpx2.Response]


def _list(name: str) -> Answer:
    def answer(api: FakeApi, request: httpx2.Request, *_: str) -> httpx2.Response:
        table = getattr(api, name)
        return page_of(request, list(table.values() if isinstance(table, dict) else table))

    return answer


def _show(kind: str, name: str) -> Answer:
    def answer(api: FakeApi, _: httpx2.Request, record_id: str) -> httpx2.Response:
        return httpx2.Response(200, json=api._known(kind, getattr(api, name), record_id))

    return answer


def _delete(kind: str, name: str) -> Answer:
    def answer(api: FakeApi, _: httpx2.Request, record_id: str) -> httpx2.Response:
        api._known(kind, getattr(api, name), record_id)
        del getattr(api, name)[int(record_id)]
        return httpx2.Response(204)

    return answer


_ID = r"/(\d+)"
ROUTES: tuple[tuple[str, str, Answer], ...] = (
    ("POST", "/v1/uploads", FakeApi.upload),
    ("POST", "/v1/models", FakeApi.create_model),
    ("GET", "/v1/models", _list("models")),
    ("GET", f"/v1/models{_ID}", _show("model", "models")),
    ("DELETE", f"/v1/models{_ID}", _delete("model", "models")),
    ("POST", "/v1/streams", FakeApi.create_stream),
    ("GET", "/v1/streams", _list("streams")),
    ("GET", f"/v1/streams{_ID}", FakeApi.show_stream),
    ("DELETE", f"/v1/streams{_ID}", FakeApi.delete_stream),
    ("GET", f"/v1/streams{_ID}/logs", FakeApi.stream_logs),
    ("GET", f"/v1/streams{_ID}/traffic", FakeApi.stream_traffic),
    ("POST", f"/v1/streams{_ID}/tokens", FakeApi.rotate),
    ("POST", "/v1/volumes", FakeApi.create_volume),
    ("GET", "/v1/volumes", _list("volumes")),
    ("GET", f"/v1/volumes{_ID}", _show("volume", "volumes")),
    ("DELETE", f"/v1/volumes{_ID}", _delete("volume", "volumes")),
    ("POST", f"/v1/volumes{_ID}/uploads", FakeApi.volume_slots),
    ("GET", f"/v1/volumes{_ID}/files", FakeApi.volume_files),
    ("POST", f"/v1/volumes{_ID}/triggers", FakeApi.create_trigger),
    ("DELETE", f"/v1/volumes{_ID}/triggers", FakeApi.delete_triggers),
    ("GET", f"/v1/volumes{_ID}/triggers", _list("triggers")),
    ("GET", f"/v1/volumes{_ID}/drops", _list("drops")),
    ("POST", "/v1/batches", FakeApi.create_job),
    ("GET", "/v1/batches", _list("jobs")),
    ("GET", f"/v1/batches{_ID}", FakeApi.show_job),
    ("POST", f"/v1/batches{_ID}/retry", FakeApi.retry_job),
    ("POST", f"/v1/batches{_ID}/stop", FakeApi.stop_job),
    ("GET", f"/v1/batches{_ID}/results", FakeApi.job_results),
    ("GET", f"/v1/batches{_ID}/parts", FakeApi.job_parts),
    ("GET", f"/v1/batches{_ID}/verify", FakeApi.verify_job),
    ("GET", "/v1/me", FakeApi.me),
    ("POST", "/v1/users", FakeApi.create_user),
    ("GET", "/v1/users", _list("users")),
    ("DELETE", "/v1/users/(.+)", FakeApi.delete_user),
    ("POST", "/v1/webhook-secret", FakeApi.make_webhook_secret),
    ("POST", "/v1/keys", FakeApi.create_key),
    ("GET", "/v1/keys", _list("keys")),
    ("DELETE", "/v1/keys/(.+)", FakeApi.delete_key),
)
