"""The options of a deployment, as the client's methods take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict


class Padding(TypedDict, total=False):
    """Ascending sizes, the `axis` (name or number as text) and what fills up inputs, by name."""

    buckets: Sequence[int]
    axis: str
    values: Mapping[str, float]


class Serving(TypedDict, total=False):
    """How a model is to answer: the same options for a stream, a job and a trigger.

    `bundle` is the path of an inference.py, a zip or a folder with one, or the id of a volume.
    `custom_code_url` is the https URL of a git repository, `custom_code_commit` a commit, branch
    or tag of it. `decoder` is what reads JPEGs: pillow, simplejpeg or exact.
    `padding` pads inputs of different lengths to a few sizes, so that they share batches.
    """

    bundle: Path | str | int
    custom_code_url: str
    custom_code_commit: str
    formatter: str
    formatter_args: Mapping[str, Any]
    decoder: str
    padding: Padding | None
    device: str
    gpus: int


class Scale(TypedDict, total=False):
    """How many replicas a stream has: always `replicas`, or from the least to the most of them."""

    replicas: int
    min_replicas: int
    max_replicas: int
    target_in_flight: int


class Force(TypedDict, total=False):
    """`force`: also with a model that is less accurate than was asked for when it was made."""

    force: bool


class Deployment(Scale, Force, Serving):
    """How a stream is to answer, and with how many replicas."""


class Predicting(Force, Serving):
    """How a job or a trigger is to answer."""


class Shape(TypedDict, total=False):
    """What the rows of a job are and how they look.

    `split` "lines" makes a row of every record of a .jsonl, .csv or .parquet file; `has_header`
    leaves out the first of a .csv. `output_format` is csv, jsonl or parquet; `include` adds the
    columns "error" and "timing", `joins_input` the record itself.
    """

    split: str
    has_header: bool
    output_format: str
    include: Sequence[str]
    joins_input: bool


class Gathering(TypedDict, total=False):
    """When the files that land in a watched volume become a job, and which of them.

    A job begins once no file came for `settle_s`, at the latest `max_wait_s` after its first one,
    and has at most `max_files`. With `marker` or `manifest` it begins when a file of that name
    lands. Names end in one of `suffixes`.
    """

    settle_s: int
    max_wait_s: int
    max_files: int
    suffixes: Sequence[str]
    marker: str
    manifest: str
