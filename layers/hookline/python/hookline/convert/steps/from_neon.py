"""Makes an ONNX file of a model that neon saved."""

from __future__ import annotations

from pathlib import Path

from hookline.convert.job import Job, Result
from hookline.convert.neon.file import read
from hookline.convert.neon.layers import Flow, Network
from hookline.convert.onnxwriter import Graph

FILE = "model.onnx"
_INPUT, _OUTPUT = "data", "output"


def run(job: Job) -> Result:
    """Write the model into the job's folder."""
    model = read(Path(job.source))
    graph = Graph()
    network = Network(graph, is_caffe=model.is_caffe)
    end = network.through(model.root, Flow(_INPUT, model.in_shape))
    graph.name_output(end.value, _OUTPUT)
    content = graph.file(
        {_INPUT: ("float32", (-1, *model.in_shape))},
        {_OUTPUT: ("float32", (-1, *end.shape))},
        f"neon {model.version}".strip(),
    )
    (Path(job.folder) / FILE).write_bytes(content)
    return Result(file=FILE, tool=f"neon {model.version} files".strip())
