"""What onnxruntime is to run a model on, and whether it does: it goes to the CPU without a word.

A process has one GPU, which is the first that it sees.
"""

from __future__ import annotations

import ctypes.util
import logging
from collections.abc import Callable, Sequence

from hookline.core.errors import ModelLoadFailed

log = logging.getLogger(__name__)

CPU, CUDA, TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))
FindLibrary = Callable[[str], str | None]


def wanted(
    gpus: int, available: Sequence[str], find_library: FindLibrary = ctypes.util.find_library
) -> list[str]:
    """The providers in the order in which they get a model's operators.

    `available` are those that onnxruntime was built with. Raise ModelLoadFailed without CUDA.
    """
    if not gpus:
        return [CPU]
    if CUDA not in available:
        raise ModelLoadFailed(
            f"The model asks for {gpus} GPU, but this machine's onnxruntime cannot use one.",
            why=f"It was built for {', '.join(available)}.",
            hint="Deploy without -g, or install onnxruntime-gpu on a machine with a GPU.",
        )
    # Built with TensorRT does not say that its libraries are here; looking for them makes no noise.
    has_tensorrt = TENSORRT in available and find_library("nvinfer") is not None
    return [*([TENSORRT] if has_tensorrt else []), CUDA, CPU]


def check(asked: Sequence[str], got: Sequence[str]) -> None:
    """Raise ModelLoadFailed where a session that was to have a GPU has none."""
    missing = [name for name in asked if name not in got]
    if CUDA in missing:
        raise ModelLoadFailed(
            "The model was to run on a GPU, and onnxruntime would run it on the CPU.",
            why=f"It could not start CUDA: no GPU, no driver, or not the libraries it was built "
            f"for. It has {', '.join(got)}.",
            hint="Look at `nvidia-smi` and at the log, or deploy without -g.",
        )
    if missing:
        log.warning("providers_missing", extra={"providers": missing})
