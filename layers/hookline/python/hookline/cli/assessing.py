"""What `model optimize` and `model evaluate` work on: models and volumes of the cloud, fetched."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hookline.cli import exits
from hookline.cli.importing import bench
from hookline.client.files import LocalFile, walk
from hookline.core.config import Config
from hookline.core.errors import InvalidInput
from hookline.core.links import Link
from hookline.core.models import Precision
from hookline.evaluation.truth import read_truth
from hookline.evaluation.workshop import PICTURE, Evaluation, Material, Workshop
from hookline.runtime.spec import PipelineSpec, Preparation, Tensor
from hookline.staging.stage import backend_dirs

if TYPE_CHECKING:
    from hookline import Client
    from hookline.cli.modelfiles import ModelFiles
    from hookline.cli.options import Calibration
    from hookline.client.views import Model

MAX_NAME = 200  # of a model, in characters
_THREADS = 1  # what a replica has unless told otherwise


def workshop(config: Config) -> Workshop:
    """Where variants are made and models are measured on this machine."""
    return Workshop(bench(config), config.home / "cache", exits.say)


@contextmanager
def fetched(cloud: Client, model: Model, config: Config) -> Iterator[PipelineSpec]:
    """A model of the cloud as a process on this machine can load it, for the length of the block.

    The preparation of the record is the whole of it: the file's own has been read at import.
    """
    with tempfile.TemporaryDirectory(prefix="hookline-model-") as scratch:
        path = Path(scratch).resolve() / "model"
        cloud.save_model(model.id, path)
        yield PipelineSpec(
            model_path=str(path),
            format=model.format,  # type: ignore[arg-type]  # the API answers just these words
            inputs=_tensors(model.inputs) if model.format != "onnx" else (),
            outputs=_tensors(model.outputs) if model.format != "onnx" else (),
            labels=model.labels,
            preparation=msgspec.convert(model.preparation, Preparation),
            site_dirs=_site_dirs(model.format, config),
            threads=_THREADS,
        )


@contextmanager
def material(cloud: Client | None, place: str | None, labels: Path | None) -> Iterator[Material]:
    """The files of a folder, or of the volume of that id, for the length of the block.

    A path that exists wins over an id. Raise InvalidInput where there is not one file.
    """
    truth = read_truth(labels) if labels else None
    if place is None:
        yield Material()
        return
    with tempfile.TemporaryDirectory(prefix="hookline-files-") as scratch:
        path = Path(place)
        if not path.exists() and place.isascii() and place.isdigit():
            if cloud is None:
                raise InvalidInput(
                    f"There is no file or folder {place}.", hint="Give a folder of files."
                )
            path = _volume(cloud, int(place), Path(scratch))
        files = {each.name: each.path for each in walk(path) if isinstance(each, LocalFile)}
        if not files:
            raise InvalidInput(
                f"{'Volume ' if path == Path(scratch) else ''}{place} has no file to read.",
                hint="Give a volume or a folder with files like those the model is sent.",
            )
        yield Material(files, truth)


def optimized(
    config: Config,
    cloud: Client,
    model: Model,
    precision: Precision,
    *,
    found: Material,
    name: str,
    min_agreement: float,
) -> Model:
    """The new model of the cloud: `model` in another precision, compared with it."""
    with fetched(cloud, model, config) as spec, tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.onnx"
        told = workshop(config).optimize(spec, precision, found, path, min_agreement=min_agreement)
        described: dict[str, Any] = {"variant": told | {"parent_id": model.id}}
        if model.format != "onnx":
            described |= {"format": model.format}
            described |= {"inputs": _told(model.inputs), "outputs": _told(model.outputs)}
        if model.conversion:
            described["conversion"] = model.conversion
        return cloud.import_model(
            path,
            name or f"{model.name} {precision}"[:MAX_NAME],
            labels=model.labels,
            preparation=model.preparation,
            input_shape=_fixed(model) if model.format == "onnx" else (),
            described=described,
        )


@contextmanager
def in_precision(
    config: Config,
    cloud: Client,
    found: ModelFiles,
    precision: Precision,
    how: Calibration,
    preparation: dict[str, Any],
) -> Iterator[ModelFiles]:
    """A model file of this machine in another precision, for the length of the block."""
    spec = PipelineSpec(
        model_path=str(found.path.resolve()),
        format=found.format,  # type: ignore[arg-type]  # the importer knows just these words
        inputs=_tensors(found.inputs),
        outputs=_tensors(found.outputs),
        labels=found.labels,
        preparation=msgspec.convert(preparation, Preparation),
        site_dirs=_site_dirs(found.format, config),
        threads=_THREADS,
    )
    with material(cloud, how.place, None) as files, tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / found.path.name
        told = workshop(config).optimize(
            spec, precision, files, path, min_agreement=how.min_agreement
        )
        tell_accuracy(told)
        yield replace(found, path=path, variant=told)


def evaluated(
    config: Config, cloud: Client, model_id: int, found: Material, *, task: str, top_k: int
) -> Evaluation:
    """How good a model of the cloud is on files whose truth is known."""
    with fetched(cloud, cloud.model(model_id), config) as spec:
        return workshop(config).evaluate(spec, found, task=task, top_k=top_k)


def save_evaluation(done: Evaluation, folder: Path) -> None:
    """Write the report and the matrix into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    report = done.report
    (folder / "report.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    if "confusion" in report:
        labels = [each["label"] for each in report["classes"]]
        text = json.dumps({"labels": labels, "rows": report["confusion"]}, indent=2)
        (folder / "confusion.json").write_text(text, encoding="utf-8")
    if done.picture:
        (folder / PICTURE).write_bytes(done.picture)


def tell_skipped(report: dict[str, Any]) -> None:
    """Say on stderr which files were left out."""
    if report["skipped"]:
        exits.say(
            f"Left out {report['skipped']} files that cannot be read, the first of them "
            f"{report['first_error']}"
        )


def tell_accuracy(variant: dict[str, Any]) -> None:
    """Say on stderr how near a variant is, and whether it may be deployed."""
    found = variant["accuracy"]
    share, wanted = found["agreement"], found["min_agreement"]
    on = "random examples" if found["data"] == "random" else "files"
    exits.say(
        f"It answers like its original on {100 * share:.1f} % of {found['examples']} {on}, is "
        f"{found['speed_up']:.2f} times as fast and has "
        f"{100 * found['size_bytes'] / found['original_size_bytes']:.0f} % of its size."
    )
    if share < wanted:
        exits.say(
            f"That is below {100 * wanted:g} %: it is kept, and streams, jobs and triggers "
            "take it with --force alone."
        )


def _volume(cloud: Client, volume_id: int, scratch: Path) -> Path:
    """A folder with the files of a volume: fetched, or where a link on this machine leads."""
    volume = cloud.volume(volume_id)
    if not volume.link:
        names = [file.name for file in cloud.volume_files(volume_id)]
        if names:
            cloud.save_files(volume_id, names, scratch)
        return scratch
    link = Link.parse(volume.link)
    if link and link.scheme == "file" and Path(link.path).is_dir():
        return Path(link.path)
    raise InvalidInput(
        f"The files of volume {volume_id} are at {volume.link}, not on this machine.",
        hint="Copy some of them into a folder here, and give that.",
    )


def _fixed(model: Model) -> Sequence[int]:
    """The shape of the first input where the importer had fixed it: all but the batch is known."""
    shape = model.inputs[0].shape if model.inputs else ()
    is_known = len(shape) > 1 and all(size > 0 for size in shape[1:])
    return shape[1:] if is_known else ()


def _site_dirs(model_format: str, config: Config) -> tuple[str, ...]:
    return tuple(str(each) for each in backend_dirs(model_format, config.home / "cache"))


def _told(found: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape)} for t in found]


def _tensors(found: Sequence[Any]) -> tuple[Tensor, ...]:
    return tuple(Tensor(each.name, each.dtype, tuple(each.shape)) for each in found)
