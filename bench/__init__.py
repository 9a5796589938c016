"""Measurements, as ratios of one run: `make bench`."""

import os

# onnxruntime reports its use to Microsoft otherwise, from a thread that would be measured too.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
