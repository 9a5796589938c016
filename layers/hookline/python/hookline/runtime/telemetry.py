"""The setting that keeps onnxruntime from reporting its use to its maker over the network."""

from __future__ import annotations

OFF = {"ORT_DISABLE_TELEMETRY": "1"}
"""For the environment, before anything that may load onnxruntime: it looks once, at its import."""
