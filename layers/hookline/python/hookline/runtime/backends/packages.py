"""The frameworks that backends need beyond hookline's own packages, pinned.

A replica gets them in a folder of their own, unless the Python it runs on has them, as an image for
GPUs may.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Framework:
    """`module` is what is imported; `requirements` install it."""

    module: str
    requirements: tuple[str, ...]


TORCH = Framework("torch", ("numpy==2.4.6", "torch==2.13.0"))
PACKAGES = {"torchscript": TORCH, "pt2": TORCH}
