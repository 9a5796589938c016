"""What a runtime process is told at its start: one JSON file, written by whoever launches it.

The launcher is trusted and stages everything; the process that runs the user's code gets paths and
settings only, no credentials.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

DecoderName = Literal["pillow", "simplejpeg", "exact"]  # of JPEGs
FormatterName = Literal["raw", "classification", "regression", "embedding", "tokens", "boxes"]


class Preparation(msgspec.Struct, frozen=True, kw_only=True):
    """How canned image input becomes a tensor: (pixel * scale - mean) / std per channel."""

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    scale: float = 1.0
    layout: Literal["", "NCHW", "NHWC"] = ""


class Tensor(msgspec.Struct, frozen=True):
    """An input or output, for formats whose files do not say."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Padding(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes, ascending, to which a variable axis is padded; `values` by input, 0 unless given.

    `axis` is its name in the model's file, or its number with the batch axis; "" is the only one.
    """

    buckets: tuple[int, ...]
    axis: str = ""
    values: dict[str, float] = {}


class PipelineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides an answer. `code_dir` holds inference.py; empty means no hooks."""

    model_path: str
    format: Literal["onnx", "torchscript", "pt2", "neuron"] = "onnx"
    inputs: tuple[Tensor, ...] = ()  # none: the file says
    outputs: tuple[Tensor, ...] = ()
    labels: tuple[str, ...] = ()
    preparation: Preparation = Preparation()
    code_dir: str = ""
    site_dirs: tuple[str, ...] = ()  # packages and repositories, put first on sys.path
    formatter: FormatterName = "raw"
    formatter_args: dict[str, Any] = {}
    decoder: DecoderName = "pillow"
    padding: Padding | None = None
    device: str = "cpu"
    gpus: int = 0
    visible: str = ""  # the GPU or the NeuronCores that are this process's own
    neuron_home: str = "/opt/neuron"
    threads: int = 0  # of one inference; 0 means one per core
    trace_hooks: bool = False


class ServedAs(msgspec.Struct, frozen=True, kw_only=True):
    """What other protocols call the model: its name and version, or the id of its stream."""

    name: str = "model"
    version: str = "1"
    stream_id: str = ""


class ServerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How a replica listens and admits. `unix_socket` wins over host and port.

    `is_shared`: other processes listen on the same port.
    Without `token_sha256` every caller is let in: the socket's folder is the guard.
    `inherited`: the descriptor of a socket that others listen on as well; -1 for none.
    `ready_file` appears when the replica is warm; `failure_file` says why it could not start.
    """

    host: str = "127.0.0.1"
    port: int = 0
    unix_socket: str = ""
    is_shared: bool = False
    inherited: int = -1
    token_sha256: tuple[str, ...] = ()
    max_batch_items: int = 64
    max_wait_ms: float = 0.0
    slo_p99_ms: float = 0.0  # 0: none; else sizes and waits are tuned for it
    max_queue_items: int = 1024
    max_body_bytes: int = 64 * 1024 * 1024
    request_timeout_s: float = 60.0
    drain_s: float = 25.0
    served: ServedAs = ServedAs()
    grpc_port: int | None = None  # None: no gRPC; 0: any free port
    ready_file: str = ""
    failure_file: str = ""
    labels: dict[str, str] = {}  # of its metrics, such as the stream


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What user code may see. `hide`: folders that look empty; `show`: read-only inside them.

    `writable` folders inside hidden ones stay writable. `mode` auto uses what the machine has.
    Without `has_network` nothing can be reached, this machine included.
    """

    mode: Literal["auto", "on", "off"] = "auto"
    hide: tuple[str, ...] = ()
    show: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    max_memory_bytes: int = 0  # 0: no limit
    max_processes: int = 0
    max_open_files: int = 4096
    has_network: bool = True


class LaunchSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One runtime process. It dies when the process `parent_pid` dies (0: it does not).

    `places` are GPUs or groups of NeuronCores: with several, a process for each.
    """

    pipeline: PipelineSpec
    server: ServerSpec = ServerSpec()
    sandbox: SandboxSpec = SandboxSpec(mode="off")
    parent_pid: int = 0
    places: tuple[str, ...] = ()
    log_level: str = "INFO"


def write(spec: LaunchSpec, path: Path) -> None:
    """Store `spec` where `read` finds it."""
    path.write_bytes(msgspec.json.encode(spec))


def read(path: Path) -> LaunchSpec:
    """The spec stored at `path`; a malformed one raises msgspec.ValidationError."""
    return msgspec.json.decode(path.read_bytes(), type=LaunchSpec)
