"""What a JPEG costs until it is a tensor, by decoder: `python -m bench.decoding [--rounds 9]`.

CPU time of one thread, interleaved; the canned preprocessor for a model of 224 × 224.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from bench import machine, networks
from bench.report import publish
from hookline.runtime.model import Model
from hookline.runtime.preprocessors import image
from hookline.runtime.spec import DecoderName, PipelineSpec

PHOTOS = machine.ROOT / "examples" / "photo" / "photos"
SIZES = ((640, 427), (1280, 854), (2000, 1500), (4000, 3000))


def photograph(width: int, height: int) -> bytes:
    """The photographs of the examples, side by side until they fill it."""
    wall = Image.new("RGB", (width, height))
    pictures = [Image.open(path) for path in sorted(PHOTOS.glob("*.jpg"))]
    wide, high = pictures[0].size
    for place, left in enumerate(range(0, width, wide)):
        for row, top in enumerate(range(0, height, high)):
            wall.paste(pictures[(place + row) % len(pictures)], (left, top))
    file = io.BytesIO()
    wall.save(file, "JPEG", quality=85)
    return file.getvalue()


def spent_ms(body: bytes, model: Model) -> float:
    began_s = time.thread_time()
    image.preprocess(body, model)
    return 1000 * (time.thread_time() - began_s)


def rows(body: bytes, size: Sequence[int], models: dict[str, Model], rounds: int) -> list[str]:
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            times[name].append(spent_ms(body, model))
    exact = image.preprocess(body, models["exact"])
    lines = []
    for name, model in models.items():
        apart = np.abs(image.preprocess(body, model) - exact)
        ratio = statistics.median(
            one / other for one, other in zip(times["exact"], times[name], strict=True)
        )
        lines.append(
            f"| {size[0]} × {size[1]} | {name} | {statistics.median(times[name]):.1f} "
            f"| {ratio:.2f} | {apart.mean():.2f} / {apart.max():.0f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "decoding.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(networks.convolutions().SerializeToString())
        models = {
            name: Model.load(PipelineSpec(model_path=str(path), decoder=name, threads=1))
            for name in sorted(get_args(DecoderName))
        }
        found = [
            line for size in SIZES for line in rows(photograph(*size), size, models, options.rounds)
        ]
    lines = [
        "# JPEG to tensor, by decoder",
        "",
        machine.describe(),
        "",
        f"{options.rounds} interleaved rounds; CPU time of one thread until the float32 tensor of",
        "3 × 224 × 224 is there, median; how many times faster than exact; mean and largest",
        "difference to exact, of 255.",
        "",
        "| JPEG | decoder | ms | × exact | difference |",
        "|---|---|---|---|---|",
        *found,
    ]
    publish(options.out, lines)


if __name__ == "__main__":
    main()
