"""How each peer is installed, started and asked. Their own documents are cited in servers/."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.machine import ROOT
from bench.work import PHOTOGRAPHS
from bench.workloads import Workload

SERVERS = "bench.peers.servers"
_BOUNDARY = "hookline-bench"
_MULTIPART = f"multipart/form-data; boundary={_BOUNDARY}"


@dataclass(frozen=True, slots=True)
class Question:
    """A request to a peer. `unwrapped` finds in its answer what `Workload.is_right` looks at."""

    path: str
    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    unwrapped: Callable[[bytes], bytes] = bytes


@dataclass(frozen=True, slots=True)
class Start:
    """What to run: `command` with `environ` added."""

    command: list[str]
    environ: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Peer:
    """`start` gets its commands' folder, the workload's short name, a port and a scratch folder."""

    name: str
    package: str
    requirements: tuple[str, ...]
    start: Callable[[Path, str, int, Path], Start]
    ask: Callable[[Workload], Question]
    settings: str


def _plain(path: str) -> Callable[[Workload], Question]:
    return lambda workload: Question(path, workload.body, workload.content_type)


def _is_picture(workload: Workload) -> bool:
    return workload.content_type == "image/jpeg"


def _form(body: bytes) -> bytes:
    head = (
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=file; filename=photo.jpg\r\n"
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + body + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _ask_litserve(workload: Workload) -> Question:
    if _is_picture(workload):
        return Question("/predict", _form(workload.body), _MULTIPART)
    return Question("/predict", workload.body, workload.content_type)


def _first(answer: bytes) -> bytes:
    found = json.loads(answer)
    return json.dumps(found[0] if isinstance(found, list) else found).encode()


def _ask_bentoml(workload: Workload) -> Question:
    if _is_picture(workload):
        return Question("/predict", _form(workload.body), _MULTIPART)
    body = json.dumps({"rows": [json.loads(workload.body)]}).encode()
    return Question("/predict", body, workload.content_type, unwrapped=_first)


def _of_v2(answer: bytes) -> bytes:
    data = json.loads(answer)["outputs"][0]["data"]
    return json.dumps({"outputs": data, "index": data[0]}).encode()


def _v2(workload: Workload) -> bytes:
    """The Open Inference Protocol's JSON."""
    data = json.loads(workload.body)
    kind = "FP32" if workload.name.startswith("W1") else "INT64"
    tensor = {"name": "x", "shape": [1, len(data)], "datatype": kind, "data": data}
    return msgspec.json.encode({"inputs": [tensor]})


def _ask_mlserver(workload: Workload) -> Question:
    body = _v2(workload) if not _is_picture(workload) else _base64_v2(workload)
    return Question("/v2/models/bench/infer", body, "application/json", unwrapped=_of_v2)


def _base64_v2(workload: Workload) -> bytes:
    tensor = {
        "name": "x",
        "shape": [1, 1],
        "datatype": "BYTES",
        "parameters": {"content_type": "base64"},
        "data": [base64.b64encode(workload.body).decode()],
    }
    return msgspec.json.encode({"inputs": [tensor]})


def _ask_triton(workload: Workload) -> Question:
    path = "/v2/models/bench/infer"
    if not _is_picture(workload):
        return Question(path, _v2(workload), "application/json", unwrapped=_of_v2)
    # The binary tensor data extension: a string is its length and its bytes.
    data = len(workload.body).to_bytes(4, "little") + workload.body
    tensor = {
        "name": "x",
        "shape": [1, 1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(data)},
    }
    head = msgspec.json.encode({"inputs": [tensor]})
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return Question(path, head + data, "application/octet-stream", headers, _of_v2)


def _start_mosec(folder: Path, name: str, port: int, scratch: Path) -> Start:
    # Its sockets lie in a folder whose path must be short.
    command = [str(folder / "python"), "-m", f"{SERVERS}.mosec_server"]
    command += ["--address", "127.0.0.1", "--port", str(port), "--path", str(scratch / "m")]
    return Start(command, {} if name in PHOTOGRAPHS else {"BENCH_BATCH": "1"})


def _start_fastapi(folder: Path, _: str, port: int, __: Path) -> Start:
    target = f"{SERVERS}.fastapi_server:app"
    command = [str(folder / "uvicorn"), target, "--port", str(port), "--workers", "2"]
    return Start([*command, "--log-level", "warning", "--no-access-log"])


def _start_script(name: str) -> Callable[[Path, str, int, Path], Start]:
    def start(folder: Path, _: str, port: int, __: Path) -> Start:
        return Start([str(folder / "python"), "-m", f"{SERVERS}.{name}_server", str(port)])

    return start


def _start_bentoml(folder: Path, _: str, port: int, scratch: Path) -> Start:
    target = f"{SERVERS}.bentoml_server:Bench"
    command = [str(folder / "bentoml"), "serve", target, "--port", str(port)]
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(scratch / "bentoml")}
    return Start([*command, "--host", "127.0.0.1", "--quiet"], quiet)


def _start_mlserver(folder: Path, name: str, port: int, scratch: Path) -> Start:
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "debug": False}
    settings |= {"metrics_port": port + 2, "parallel_workers": 2, "metrics_dir": str(scratch)}
    model = {"name": "bench", "implementation": f"{SERVERS}.mlserver_runtime.Runtime"}
    model |= {} if name in PHOTOGRAPHS else {"max_batch_size": 64, "max_batch_time": 0.001}
    for file, fields in (("settings", settings), ("model-settings", model)):
        (scratch / f"{file}.json").write_text(json.dumps(fields), encoding="utf-8")
    return Start([str(folder / "mlserver"), "start", str(scratch)])


_TRITON_CONFIG = """
name: "bench"
backend: "python"
max_batch_size: 64
input [{{ name: "x" data_type: {given} dims: [ {size} ] }}]
output [{{ name: "y" data_type: {found} dims: [ {outputs} ] }}]
instance_group [{{ kind: KIND_CPU count: 2 }}]
dynamic_batching {{ }}
"""
_TRITON_TYPES = {
    "w1": ("TYPE_FP32", 64, "TYPE_FP32", 10),
    "w2": ("TYPE_STRING", 1, "TYPE_INT64", 1),
    "w3": ("TYPE_INT64", 64, "TYPE_FP32", 384),
    "w4": ("TYPE_STRING", 1, "TYPE_INT64", 1),
}


def _start_triton(folder: Path, name: str, port: int, scratch: Path) -> Start:
    """The server and the Python backend that nvidia-pytriton brings, started as themselves."""
    site = next((folder.parent / "lib").glob("python*")) / "site-packages"
    given, size, found, outputs = _TRITON_TYPES[name]
    fields = {"given": given, "size": size, "found": found, "outputs": outputs}
    version = scratch / "models" / "bench" / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(_TRITON_CONFIG.format(**fields), encoding="utf-8")
    source = Path(__file__).parent / "servers" / "triton_model.py"
    shutil.copyfile(source, version / "model.py")
    backends = scratch / "backends"
    shutil.copytree(site / "pytriton" / "tritonserver" / "backends", backends)
    stub = site / "pytriton" / "tritonserver" / "python_backend_stubs"
    stub = stub / site.parent.name.removeprefix("python") / "triton_python_backend_stub"
    shutil.copy(stub, backends / "python" / "triton_python_backend_stub")
    command = [str(site / "pytriton" / "tritonserver" / "bin" / "tritonserver")]
    command += ["--model-repository", str(scratch / "models")]
    command += ["--backend-directory", str(backends), "--http-port", str(port)]
    command += ["--allow-grpc", "false", "--allow-metrics", "false"]
    command += [f"--backend-config=python,shm-region-prefix-name=bench{port}"]
    home = Path(os.path.realpath(folder / "python")).parents[1]
    libraries = f"{site / 'nvidia_pytriton.libs'}:{home / 'lib'}"
    return Start(
        command,
        {"LD_LIBRARY_PATH": libraries, "PYTHONHOME": str(home), "PYTHONPATH": f"{ROOT}:{site}"},
    )


PEERS = (
    Peer(
        "Triton, Python backend",
        "nvidia-pytriton",
        ("nvidia-pytriton", "numpy<2"),  # its stub reads arrays as they were before numpy 2
        _start_triton,
        _ask_triton,
        "2 CPU instances, dynamic batching up to 64 without delay",
    ),
    Peer(
        "mosec",
        "mosec",
        ("mosec",),
        _start_mosec,
        _plain("/inference"),
        "2 processes; batches of 64 and 1 ms for numbers, none for photographs",
    ),
    Peer(
        "FastAPI",
        "fastapi",
        ("fastapi", "uvicorn[standard]"),
        _start_fastapi,
        _plain("/predict"),
        "2 uvicorn workers, async",
    ),
    Peer(
        "MLServer",
        "mlserver",
        ("mlserver", "uvloop<0.22"),
        _start_mlserver,
        _ask_mlserver,
        "2 parallel workers; batches of 64 and 1 ms for numbers",
    ),
    Peer(
        "LitServe",
        "litserve",
        ("litserve", "python-multipart"),
        _start_script("litserve"),
        _ask_litserve,
        "2 workers",
    ),
    Peer(
        "BentoML",
        "bentoml",
        ("bentoml",),
        _start_bentoml,
        _ask_bentoml,
        "2 workers; adaptive batches of 64 for numbers",
    ),
    Peer(
        "Ray Serve",
        "ray",
        ("ray[serve]",),
        _start_script("ray"),
        _plain("/predict"),
        "2 replicas; @serve.batch of 64 and 1 ms for numbers",
    ),
)
