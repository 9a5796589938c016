"""What people write instead of a batch: each a loop over a folder of JPEGs, in a process.

    python bench/batch_loops.py LOOP MODEL FOLDER THREADS

Prints one JSON line: files, and seconds from the first look at the folder to the last answer, with
the model loaded. It needs the packages of its loop, and nothing of hookline.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

SIDE = 224
CORES = len(os.sched_getaffinity(0))
BATCH = 8


def session(model: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def pixels(path: str) -> np.ndarray:
    image = Image.open(path).convert("RGB").resize((SIDE, SIDE))
    return np.ascontiguousarray(np.asarray(image, np.float32).transpose(2, 0, 1))


def listed(folder: str) -> list[str]:
    return sorted(str(path) for path in Path(folder).iterdir())


def naive(model: str, folder: str) -> list[int]:
    """One after the other, onnxruntime as it comes."""
    engine = session(model, 0)
    begin()
    return [
        int(engine.run(None, {"x": pixels(path)[np.newaxis]})[0].argmax())
        for path in listed(folder)
    ]


def limit(model: str, folder: str) -> list[int]:
    """A thread per core, each with all of the work; nothing is stored."""
    engine, found = session(model, 1), dict[str, int]()
    begin()
    left = iter(listed(folder))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                path = next(left, None)
            if path is None:
                return
            found[path] = int(engine.run(None, {"x": pixels(path)[np.newaxis]})[0].argmax())

    threads = [threading.Thread(target=work) for _ in range(CORES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[path] for path in sorted(found)]


class Files:
    """A map-style dataset for torch."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> np.ndarray:
        return pixels(self.paths[place])


def torch_loader(model: str, folder: str) -> list[int]:
    """Workers that decode, one per core; onnxruntime on all cores in the main process."""
    from torch.utils.data import DataLoader  # noqa: PLC0415 - only in its environment

    engine, found = session(model, 0), list[int]()
    begin()
    loader: Any = DataLoader(Files(listed(folder)), batch_size=BATCH, num_workers=CORES)
    for batch in loader:
        found += engine.run(None, {"x": batch.numpy()})[0].argmax(1).tolist()
    return found


def ray_data(model: str, folder: str) -> list[int]:
    """read_binary_files, then a pool of actors, one per core."""
    os.environ.setdefault("RAY_agent_register_timeout_ms", "300000")  # a busy machine is slow
    import ray  # noqa: PLC0415 - as above

    class Predict:
        def __init__(self) -> None:
            self.engine = session(model, 1)

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            images = np.stack([pixels(io.BytesIO(body)) for body in batch["bytes"]])  # type: ignore[arg-type]
            scores = self.engine.run(None, {"x": images})[0]
            return {"path": batch["path"], "index": scores.argmax(1)}

    ray.init(num_cpus=CORES, include_dashboard=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    begin()
    files = ray.data.read_binary_files(folder, include_paths=True)
    done = files.map_batches(Predict, batch_size=BATCH, concurrency=CORES, num_cpus=0.5)
    rows = sorted((row["path"], int(row["index"])) for row in done.take_all())
    return [index for _, index in rows]


LOOPS = {"naive": naive, "limit": limit, "torch": torch_loader, "ray": ray_data}
began = 0.0


def begin() -> None:
    global began  # noqa: PLW0603 - set once, when the model is loaded
    began = time.perf_counter()


if __name__ == "__main__":
    answers = LOOPS[sys.argv[1]](*sys.argv[2:])
    seconds = time.perf_counter() - began
    print(json.dumps({"files": len(answers), "seconds": seconds, "sum": sum(answers)}))
