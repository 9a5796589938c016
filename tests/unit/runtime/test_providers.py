"""Which of onnxruntime's providers a model gets, told from lists: there is no GPU here."""

from __future__ import annotations

import logging

import pytest

from hookline.core.errors import ModelLoadFailed
from hookline.runtime.backends.providers import CPU, CUDA, TENSORRT, check, wanted

ALL = [TENSORRT, CUDA, CPU]


def found(name: str) -> str:
    return f"lib{name}.so.10"


def nowhere(name: str) -> None:
    assert name == "nvinfer"


def test_without_gpus_the_cpu_is_all_there_is() -> None:
    assert wanted(0, ALL, found) == [CPU]


def test_tensorrt_comes_before_cuda_where_its_library_is() -> None:
    assert wanted(1, ALL, found) == [TENSORRT, CUDA, CPU]
    assert wanted(1, ALL, nowhere) == [CUDA, CPU]
    assert wanted(1, [CUDA, CPU], found) == [CUDA, CPU]


def test_an_onnxruntime_without_cuda_is_refused() -> None:
    with pytest.raises(ModelLoadFailed, match="asks for 2 GPU") as caught:
        wanted(2, [CPU], found)
    assert caught.value.why == f"It was built for {CPU}."


@pytest.mark.parametrize("got", [[CPU], [TENSORRT, CPU], []])
def test_a_session_that_fell_back_to_the_cpu_is_refused(got: list[str]) -> None:
    with pytest.raises(ModelLoadFailed, match="would run it on the CPU") as caught:
        check(ALL, got)
    assert "without -g" in caught.value.hint


def test_a_session_without_tensorrt_says_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check(ALL, [CUDA, CPU])
    (record,) = caplog.records
    assert record.message == "providers_missing"
    assert record.__dict__["providers"] == [TENSORRT]


def test_a_session_on_what_was_asked_for_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    check([CUDA, CPU], [CUDA, CPU])
    check([CPU], [CPU])
    assert not caplog.records
