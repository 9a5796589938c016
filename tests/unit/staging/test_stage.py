"""A repository of custom code, from the record of a stream to the answer of its hooks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from hookline.adapters.machine.repositories import checkout
from hookline.adapters.machine.spawn import spawn_engine
from hookline.core.errors import HooklineError, InvalidBundle
from hookline.core.models import Model, TensorSpec
from hookline.core.ports import Ports
from hookline.core.records import Bundle, CustomCode, Padding, Serving, upload_key
from hookline.runtime import spec as runtime_spec
from hookline.runtime.engine import EngineClient
from hookline.runtime.items import Answer, Item, Outcome
from hookline.runtime.sandbox import probe
from hookline.runtime.spec import LaunchSpec, PipelineSpec
from hookline.staging.stage import pipeline_spec, sandbox_spec
from tests import onnx_models
from tests.gitrepo import Repository

READY_S = 60.0
MINE = "def name():\n    return 'from the repository'\n"
HOOKS = """
from layers.mine import name

def postprocess(output, raw_input):
    return name()
"""
WRITER = """
from pathlib import Path
import layers.mine

def postprocess(output, raw_input):
    target = Path(layers.mine.__file__)
    try:
        target.write_text("spoiled = 1")
    except OSError as error:
        return f"refused, {sorted(path.name for path in target.parents[1].iterdir())}"
    return "written"
"""
needs_namespaces = pytest.mark.skipif(probe() != "namespaces", reason="no user namespaces here")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "origin")


@pytest.fixture
def model(ports: Ports, tmp_path: Path) -> Model:
    data = onnx_models.identity(tmp_path / "m.onnx").read_bytes()
    digest = uploaded(ports, data)
    tensor = TensorSpec(name="x", dtype="float32", shape=(-1, 3))
    return Model(
        tenant="acme",
        id=1,
        name="m",
        format="onnx",
        sha256=digest,
        size_bytes=len(data),
        inputs=(tensor,),
        outputs=(tensor,),
        created_at=0.0,
    )


Stage = Callable[..., PipelineSpec]


@pytest.fixture
def stage(ports: Ports, model: Model, home: Path, repository: Repository) -> Stage:
    """Stage the repository, perhaps with a bundle of one file."""

    def staged(hooks: str = "", commit: str = "main") -> PipelineSpec:
        bundle = Bundle(sha256=uploaded(ports, hooks.encode()), filename="hooks.py")
        code = CustomCode(url=repository.url, commit=commit)
        run_dir = home / "run" / "r1"
        run_dir.mkdir(parents=True)
        serving = Serving(bundle=bundle if hooks else None, custom_code=code)
        local = partial(checkout, protocols="file")
        return pipeline_spec(ports, model, serving, run_dir, home / "cache", checkout=local)

    return staged


def uploaded(ports: Ports, data: bytes) -> str:
    digest = sha256(data).hexdigest()
    ports.blobs.put(upload_key("acme", digest), data)
    return digest


def answers(spec: PipelineSpec, home: Path, bodies: Sequence[bytes] = (b"[1, 2, 3]",)) -> list[str]:
    """What the pipeline answers in a process of its own, in the sandbox this machine has."""
    run_dir = home / "run" / "r1"
    sandbox = sandbox_spec("auto", (home,), spec, run_dir)
    runtime_spec.write(LaunchSpec(pipeline=spec, sandbox=sandbox), run_dir / "launch.json")
    connection, process = spawn_engine(run_dir / "launch.json")
    engine = EngineClient(connection)
    try:
        engine.wait_ready(READY_S)
        items = [Item(body, "application/json") for body in bodies]
        return [told(outcome) for outcome in engine.run(items, READY_S)]
    finally:
        engine.close()
        process.kill()
        process.wait(READY_S)


def told(outcome: Outcome) -> str:
    if isinstance(outcome, Answer):
        return outcome.body.decode()
    assert isinstance(outcome, HooklineError)
    return str(outcome)


def test_hooks_of_a_bundle_import_from_the_repository(
    stage: Stage, home: Path, repository: Repository
) -> None:
    repository.commit(layers__mine=MINE, inference="raise SystemExit('not these hooks')")

    spec = stage(HOOKS)

    assert answers(spec, home) == ["from the repository"]


def test_without_a_bundle_the_hooks_of_the_repository_answer(
    stage: Stage, home: Path, repository: Repository
) -> None:
    repository.commit(layers__mine=MINE, inference=HOOKS)

    spec = stage()

    assert Path(spec.code_dir) == home / "run" / "r1" / "code"
    assert answers(spec, home) == ["from the repository"]


def test_a_repository_without_hooks_needs_a_bundle(stage: Stage, repository: Repository) -> None:
    repository.commit(layers__mine=MINE)

    with pytest.raises(InvalidBundle, match=r"no inference\.py") as caught:
        stage()

    assert repository.url in caught.value.what
    assert "-f" in caught.value.hint


def test_the_requirements_of_the_repository_count_where_its_hooks_do(
    stage: Stage, repository: Repository
) -> None:
    (repository.folder / "requirements.txt").write_text("-r /etc/passwd\n")
    repository.commit(layers__mine=MINE, inference=HOOKS)

    with pytest.raises(InvalidBundle, match=r"requirements\.txt line 1"):
        stage()


def test_the_requirements_of_the_repository_are_not_those_of_a_bundle(
    stage: Stage, home: Path, repository: Repository
) -> None:
    (repository.folder / "requirements.txt").write_text("-r /etc/passwd\n")
    repository.commit(layers__mine=MINE)

    assert answers(stage(HOOKS), home) == ["from the repository"]


def test_the_commit_that_was_asked_for_is_imported(
    stage: Stage, home: Path, repository: Repository
) -> None:
    first = repository.commit(layers__mine=MINE.replace("repository", "first commit"))
    repository.commit(layers__mine=MINE)

    assert answers(stage(HOOKS, first), home) == ["from the first commit"]


@needs_namespaces
def test_hooks_cannot_change_the_repository(
    stage: Stage, home: Path, repository: Repository
) -> None:
    repository.commit(layers__mine=MINE)

    (answer,) = answers(stage(WRITER), home)

    assert answer == "refused, ['layers']"


def test_nothing_is_fetched_where_no_repository_is_named(
    ports: Ports, model: Model, home: Path
) -> None:
    def never(*_: object) -> Path:
        raise AssertionError("nothing is to be fetched")

    spec = pipeline_spec(ports, model, Serving(), home, home / "cache", checkout=never)

    assert (spec.code_dir, spec.site_dirs) == ("", ())


def test_a_record_without_custom_code_is_still_read() -> None:
    stored = json.loads(Serving().model_dump_json())
    del stored["custom_code"]

    assert Serving.model_validate(stored) == Serving()


def test_the_padding_of_the_serving_reaches_the_pipeline(
    ports: Ports, model: Model, home: Path
) -> None:
    serving = Serving(padding=Padding(buckets=(16, 32), axis="T", values={"x": 1}))
    spec = pipeline_spec(ports, model, serving, home / "run", home / "cache")

    assert spec.padding
    assert (spec.padding.buckets, spec.padding.axis) == ((16, 32), "T")
    assert spec.padding.values == {"x": 1}


def test_the_decoder_of_the_serving_reaches_the_pipeline(
    ports: Ports, model: Model, home: Path
) -> None:
    spec = pipeline_spec(ports, model, Serving(decoder="exact"), home / "run", home / "cache")
    assert spec.decoder == "exact"
