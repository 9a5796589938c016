"""What a replica gets of this machine's devices, and that no two get the same NeuronCore."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from hookline.core.errors import InvalidInput, Unavailable
from hookline.core.models import Compilation, Model
from hookline.core.records import Serving
from hookline.staging.devices import places
from tests.processes import line, until_killed

# Plans as a replica's launcher does, becomes another program, and tells what it got.
CLAIM = """
import os, sys
from pathlib import Path
from hookline.core.errors import Unavailable
from hookline.core.models import Compilation
from hookline.core.neuroncores import Machine
from hookline.staging.devices import claimed
locks, cores, each = sys.argv[1:]
try:
    found = claimed(
        Machine("inf1", 2), Compilation(target="inf1", cores=int(each)), int(cores), Path(locks)
    )
except Unavailable as error:
    print(error.what, error.why, flush=True)
    sys.exit()
print(" ".join(group.visible for group in found), flush=True)
os.execv("/bin/cat", ["cat"])
"""


# As CLAIM, for the GPUs of one stream's replica.
CLAIM_GPUS = """
import os, sys
from pathlib import Path
from hookline.core.errors import Unavailable
from hookline.core.records import Serving
from hookline.staging.devices import claimed_gpus
locks, dev, gpus, owner = sys.argv[1:]
try:
    found = claimed_gpus(int(gpus), owner, Path(locks), Path(dev))
except Unavailable as error:
    print(error.what, error.why, flush=True)
    sys.exit()
print(" ".join(found), flush=True)
os.execv("/bin/cat", ["cat"])
"""


def model(compilation: Compilation | None) -> Model:
    return Model(
        tenant="a",
        id=3,
        name="m",
        format="neuron" if compilation else "onnx",
        sha256="0" * 64,
        size_bytes=1,
        inputs=(),
        outputs=(),
        compilation=compilation,
        created_at=0,
    )


def device_files(folder: Path, chips: int) -> Path:
    folder.mkdir()
    for chip in range(chips):
        (folder / f"neuron{chip}").touch()
    (folder / "neuron_caps").touch()
    return folder


def claiming(locks: Path, cores: int, each: int) -> AbstractContextManager[str]:
    """The cores that a process got, while it lives."""
    return told(CLAIM, str(locks), str(cores), str(each))


@contextmanager
def told(program: str, *arguments: str) -> Iterator[str]:
    """What a process got, while it lives."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with until_killed(process):
        yield line(process)


def test_replicas_of_one_machine_never_get_the_same_core(tmp_path: Path) -> None:
    with claiming(tmp_path, 2, 1) as first, claiming(tmp_path, 4, 4) as second:
        assert (first, second) == ("0 1", "4-7")
        with claiming(tmp_path, 3, 1) as refused:
            assert "no room for 3 processes" in refused
            assert "6 of the machine's 8 cores are taken" in refused
        with claiming(tmp_path, 0, 1) as rest:
            assert rest == "2 3"
    with claiming(tmp_path, 0, 2) as again:
        assert again == "0-1 2-3 4-5 6-7"


def test_each_chip_is_a_device_file(tmp_path: Path) -> None:
    serving = Serving(device="inf2")
    compiled = model(Compilation(target="inf2", cores=2))
    dev = device_files(tmp_path / "dev", 2)
    assert places(compiled, serving, tmp_path / "locks", dev) == ("0-1", "2-3")


def test_a_machine_without_the_device_is_told_so(tmp_path: Path) -> None:
    dev = device_files(tmp_path / "dev", 0)
    compiled = model(Compilation(target="inf2"))
    with pytest.raises(Unavailable, match="This machine has no inf2 device") as caught:
        places(compiled, Serving(device="inf2"), tmp_path / "locks", dev)
    assert f"{dev}/neuron0" in caught.value.why


def test_a_model_that_is_not_compiled_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not compiled for inf2"):
        places(model(None), Serving(device="inf2"), tmp_path / "locks", tmp_path)


@pytest.mark.parametrize(
    ("serving", "expected"),
    [
        (Serving(), ()),
        (Serving(device="gpu", gpus=1), ("0",)),
        (Serving(device="gpu", gpus=3), ("0", "1", "2")),
    ],
)
@pytest.mark.parametrize("owner", ["", "a/7"])
def test_each_gpu_is_a_place(
    owner: str, serving: Serving, expected: tuple[str, ...], tmp_path: Path
) -> None:
    found = places(model(None), serving, tmp_path / "locks", tmp_path, owner=owner)
    assert found == expected


def gpus(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"nvidia{number}").touch()
    (folder / "nvidiactl").touch()
    return folder


def test_streams_of_one_machine_never_get_the_same_gpu(tmp_path: Path) -> None:
    locks, dev = str(tmp_path / "locks"), str(gpus(tmp_path / "dev", 3))
    with told(CLAIM_GPUS, locks, dev, "1", "a/1") as first:
        assert first == "0"
        with told(CLAIM_GPUS, locks, dev, "2", "b/1") as second:
            assert second == "1 2"
            with told(CLAIM_GPUS, locks, dev, "1", "a/2") as refused:
                assert "no GPU left for this stream, which asks for 1" in refused
                assert "Other streams have 3 of the machine's 3" in refused
    with told(CLAIM_GPUS, locks, dev, "3", "a/2") as again:
        assert again == "0 1 2"


def test_replicas_of_one_stream_take_free_gpus_and_then_share(tmp_path: Path) -> None:
    locks, dev = str(tmp_path / "locks"), str(gpus(tmp_path / "dev", 2))
    with (
        told(CLAIM_GPUS, locks, dev, "1", "a/1") as first,
        told(CLAIM_GPUS, locks, dev, "1", "a/1") as second,
        told(CLAIM_GPUS, locks, dev, "1", "a/1") as third,
        told(CLAIM_GPUS, locks, dev, "1", "a/1") as fourth,
    ):
        assert (first, second, third, fourth) == ("0", "1", "0", "1")
        with told(CLAIM_GPUS, locks, dev, "1", "a/2") as refused:
            assert "Other streams have 2 of the machine's 2" in refused


def test_a_stream_that_asks_for_more_than_the_machine_has_is_refused(tmp_path: Path) -> None:
    locks, dev = str(tmp_path / "locks"), str(gpus(tmp_path / "dev", 1))
    with told(CLAIM_GPUS, locks, dev, "2", "a/1") as refused:
        assert "asks for 2" in refused
        assert "Other streams have 0 of the machine's 1" in refused


def test_where_the_driver_shows_no_files_there_are_as_many_gpus_as_are_asked_for(
    tmp_path: Path,
) -> None:
    locks, dev = str(tmp_path / "locks"), str(gpus(tmp_path / "dev", 0))
    with told(CLAIM_GPUS, locks, dev, "1", "a/1") as first:
        assert first == "0"
        with told(CLAIM_GPUS, locks, dev, "1", "a/2") as refused:
            assert "Other streams have 1 of the machine's 1" in refused


def test_jobs_share_gpus_with_what_runs_there(tmp_path: Path) -> None:
    locks, dev = tmp_path / "locks", gpus(tmp_path / "dev", 1)
    serving = Serving(device="gpu", gpus=1)
    with told(CLAIM_GPUS, str(locks), str(dev), "1", "a/1"):
        assert places(model(None), serving, locks, dev) == ("0",)
