"""Ties a process to its own GPU or NeuronCores, before anything looks for devices."""

from __future__ import annotations

import os

import msgspec

from hookline.runtime.spec import LaunchSpec

VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"


def at_its_place(spec: LaunchSpec) -> LaunchSpec:
    """The spec of the one process that it starts. CUDA reads its setting when it is first used.

    NeuronCores are taken by a child of the backend, which is told of them as it starts.
    """
    pipeline = spec.pipeline
    visible = pipeline.visible or next(iter(spec.places), "")
    if pipeline.device == "gpu" and visible:
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as nvidia-smi and ECS number them
        os.environ[VISIBLE_GPUS] = visible
    gpus = min(pipeline.gpus, 1) if visible else pipeline.gpus
    return msgspec.structs.replace(
        spec, places=(), pipeline=msgspec.structs.replace(pipeline, visible=visible, gpus=gpus)
    )


def at_place(spec: LaunchSpec, number: int) -> LaunchSpec:
    """The spec of process `number` of several: each has a place of its own."""
    if not spec.places:
        return spec
    pipeline = msgspec.structs.replace(spec.pipeline, visible=spec.places[number])
    return msgspec.structs.replace(spec, places=(), pipeline=pipeline)
