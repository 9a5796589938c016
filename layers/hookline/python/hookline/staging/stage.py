"""Lays out what a runtime process needs: the model's file, the user's files and their packages.

Runs in trusted code, before the user's code starts; the spec it returns holds paths only.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from hookline.adapters.machine.environments import install
from hookline.adapters.machine.repositories import checkout
from hookline.core.archives import HOOK_FILE
from hookline.core.errors import InvalidBundle, NotFound
from hookline.core.models import Model, TensorSpec
from hookline.core.ports import Blobs, Ports
from hookline.core.records import Bundle, CustomCode, Serving, Volume, upload_key
from hookline.runtime.artifacts import extract_bundle
from hookline.runtime.backends.packages import PACKAGES
from hookline.runtime.requirements import parse
from hookline.runtime.spec import Padding, PipelineSpec, Preparation, SandboxSpec, Tensor
from hookline.staging.cache import CACHE_BYTES, ModelCache
from hookline.staging.models import model_file
from hookline.staging.volumes import listing, source

REQUIREMENTS = "requirements.txt"

Checkout = Callable[[str, str, Path], Path]  # url, commit, cache folder → the folder of its files


def pipeline_spec(
    ports: Ports,
    model: Model,
    serving: Serving,
    run_dir: Path,
    cache_dir: Path,
    *,
    cache_bytes: int = CACHE_BYTES,
    checkout: Checkout = checkout,
) -> PipelineSpec:
    """Stage `model` and the code of `serving` under `run_dir`; what is fetched under `cache_dir`.

    `cache_bytes` bounds the models there. Raise NotFound when a file is gone, InvalidBundle when
    the bundle, its requirements or the repository are bad.
    """
    code_dir = run_dir / "code"
    if serving.bundle is not None:
        stage_bundle(ports, model.tenant, serving.bundle, code_dir)
    linked: tuple[Path, ...] = ()
    if serving.custom_code is not None:
        linked = _link(serving.custom_code, code_dir, cache_dir, checkout)
    models = ModelCache(cache_dir / "models", cache_bytes)
    model_path = _stage_model(ports, model, run_dir / "model", models)
    packages = (*site_dirs(code_dir, cache_dir), *backend_dirs(model.format, cache_dir))
    return PipelineSpec(
        model_path=str(model_path),
        format=model.format,
        inputs=_signature(model.format, model.inputs),
        outputs=_signature(model.format, model.outputs),
        labels=model.labels,
        preparation=Preparation(**dict(model.preparation)),
        code_dir=str(code_dir) if code_dir.is_dir() else "",
        site_dirs=tuple(str(path) for path in (*linked, *packages)),
        formatter=serving.formatter,
        formatter_args=serving.formatter_args,
        decoder=serving.decoder,
        padding=Padding(**dict(serving.padding)) if serving.padding else None,
        device=serving.device,
        gpus=serving.gpus,
    )


def sandbox_spec(
    mode: str, hidden: tuple[Path, ...], pipeline: PipelineSpec, run_dir: Path
) -> SandboxSpec:
    """User code sees its own run folder, its model and its packages; not the platform's files."""
    shown = (pipeline.model_path, *pipeline.site_dirs)
    return SandboxSpec(
        mode=mode,  # type: ignore[arg-type]  # core.config allows just these words
        hide=tuple(str(path) for path in hidden if path.is_dir()),
        show=shown,
        writable=(str(run_dir),),
    )


def stage_bundle(ports: Ports, tenant: str, bundle: Bundle, code_dir: Path) -> None:
    """Put the user's files into the new folder `code_dir`."""
    if bundle.volume_id is None:
        with ports.blobs.open(upload_key(tenant, bundle.sha256)) as file:
            extract_bundle(file, bundle.filename, code_dir)
        return
    volume = ports.catalog.get(Volume, tenant, bundle.volume_id)
    if volume is None:
        raise NotFound.of("volume", bundle.volume_id)
    _copy_volume(*source(ports, volume), code_dir)


def _copy_volume(blobs: Blobs, prefix: str, code_dir: Path) -> None:
    code_dir.mkdir(parents=True)
    for info in listing(blobs, prefix):
        # check_blob_key has refused '..' and absolute names when the file was stored or listed
        target = code_dir / info.key.removeprefix(prefix)
        if not target.resolve().is_relative_to(code_dir.resolve()):
            raise InvalidBundle(f"The file {info.key!r} would leave the bundle's folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with blobs.open(info.key) as file, target.open("xb") as copy:
            shutil.copyfileobj(file, copy)


def _link(
    custom_code: CustomCode, code_dir: Path, cache_dir: Path, checkout: Checkout
) -> tuple[Path, ...]:
    """The repository, for sys.path; where there is no bundle, `code_dir` is made of it instead."""
    repository = checkout(custom_code.url, custom_code.commit, cache_dir / "repositories")
    if code_dir.is_dir():
        return (repository,)
    if not (repository / HOOK_FILE).is_file():
        raise InvalidBundle(
            f"The repository {custom_code.url} has no {HOOK_FILE} at its top.",
            why="No bundle with hooks was given, so nothing would import the repository.",
            hint=f"Write a {HOOK_FILE} that does, and give it as the bundle, with -f.",
        )
    # A copy, as every replica has its own: where there is no sandbox, hooks may write to it.
    shutil.copytree(repository, code_dir)
    return ()


def _stage_model(ports: Ports, model: Model, model_dir: Path, models: ModelCache) -> Path:
    """The file under the name that hooks look for, alone in its folder as in SageMaker."""
    model_dir.mkdir(parents=True)
    named = model_dir / f"model.{model.format}"
    named.symlink_to(model_file(ports.blobs, model, models, user=model_dir))
    return named


def _signature(model_format: str, tensors: Sequence[TensorSpec]) -> tuple[Tensor, ...]:
    """What the model takes or gives, where its file does not say."""
    if model_format == "onnx":
        return ()
    return tuple(Tensor(each.name, each.dtype, each.shape) for each in tensors)


def backend_dirs(model_format: str, cache_dir: Path) -> tuple[Path, ...]:
    """Where the framework is that runs this format, installed unless this Python has it."""
    wanted = PACKAGES.get(model_format)
    if wanted is None or find_spec(wanted.module) is not None:
        return ()
    return (install(list(wanted.requirements), cache_dir).resolve(),)


def site_dirs(code_dir: Path, cache_dir: Path) -> tuple[Path, ...]:
    """Where the packages of a bundle's requirements.txt are, installed if need be."""
    wanted = code_dir / REQUIREMENTS
    if not wanted.is_file():
        return ()
    requirements = parse(wanted.read_text(encoding="utf-8"))
    return (install(requirements, cache_dir),) if requirements else ()
