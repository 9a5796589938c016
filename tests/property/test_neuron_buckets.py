"""Whatever was compiled and is asked for: each run has compiled shapes, and nothing is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.core.errors import InvalidInput
from hookline.runtime.neuron.artifact import Bucket, Manifest, Port
from hookline.runtime.neuron.buckets import Buckets

SIZES = st.integers(1, 6)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Models that take [batch, height, width] and [batch, width], and give both back."""
    places = draw(st.sets(st.tuples(SIZES, SIZES), min_size=1, max_size=4))
    batches = draw(st.sets(SIZES, min_size=1, max_size=3))
    shapes = [((n, h, w), (n, w)) for h, w in sorted(places) for n in sorted(batches)]
    return Manifest(
        target="inf2",
        cores=draw(st.integers(1, 3)),
        inputs=(Port("image", "float32"), Port("row", "float32")),
        outputs=(Port("again", "float32"), Port("same", "float32")),
        buckets=tuple(Bucket(f"{i}.pt", each, each) for i, each in enumerate(shapes)),
        is_pipeline=draw(st.booleans()),
        is_dynamic=draw(st.booleans()),
    )


@given(manifest=manifests(), count=st.integers(1, 20), height=SIZES, width=SIZES)
@settings(max_examples=300, deadline=None)
def test_every_example_comes_back_in_order_and_in_its_own_shape(
    manifest: Manifest, count: int, height: int, width: int
) -> None:
    rng = np.random.default_rng(count)
    feeds = [rng.normal(size=(count, height, width)), rng.normal(size=(count, width))]
    buckets = Buckets(manifest)
    if not any(h >= height and w >= width for (_, h, w), _ in (b.inputs for b in manifest.buckets)):
        with pytest.raises(InvalidInput, match="not compiled for"):
            list(buckets.runs(feeds))
        return
    parts: list[list[Any]] = []
    for run in buckets.runs(feeds):
        compiled = manifest.buckets[run.number].inputs
        for fed, shape in zip(run.feeds, compiled, strict=True):
            assert fed.shape[1:] == shape[1:]
            assert manifest.is_dynamic or len(fed) == shape[0] * manifest.copies
        parts.append(buckets.sliced(run, run.feeds, feeds))
    for index, feed in enumerate(feeds):
        again = np.concatenate([part[index] for part in parts])
        varies = len({bucket.inputs[index][1:] for bucket in manifest.buckets}) > 1
        if varies or feed.shape[1:] == manifest.buckets[0].inputs[index][1:]:
            assert np.array_equal(_cut(again, feed), feed)
        if _lengths_tell_axes_apart(manifest):
            assert again.shape == feed.shape


def _cut(again: Any, feed: Any) -> Any:
    return again[tuple(slice(size) for size in feed.shape)]


def _lengths_tell_axes_apart(manifest: Manifest) -> bool:
    heights = [bucket.inputs[0][1] for bucket in manifest.buckets]
    widths = [bucket.inputs[0][2] for bucket in manifest.buckets]
    return heights != widths and len({*heights}) > 1 and len({*widths}) > 1


def test_square_buckets_cut_nothing_of_an_answer() -> None:
    shapes = [((1, size, size),) for size in (1, 2)]
    manifest = Manifest(
        target="inf2",
        cores=1,
        inputs=(Port("image", "float32"),),
        outputs=(Port("turned", "float32"),),
        buckets=tuple(Bucket(f"{i}.pt", each, each) for i, each in enumerate(shapes)),
    )
    buckets, wide = Buckets(manifest), np.ones((1, 1, 2))
    (run,) = buckets.runs([wide])
    (turned,) = buckets.sliced(run, [run.feeds[0].swapaxes(1, 2)], [wide])
    assert np.array_equal(turned[:, :2, :1], wide.swapaxes(1, 2))


def test_the_smallest_bucket_that_holds_it_is_run() -> None:
    shapes = [((n, w),) for n in (1, 4) for w in (8, 16)]
    manifest = Manifest(
        target="inf1",
        cores=1,
        inputs=(Port("x", "float32"),),
        outputs=(Port("y", "float32"),),
        buckets=tuple(Bucket(f"{i}.pt", each, each) for i, each in enumerate(shapes)),
    )
    buckets = Buckets(manifest)

    def run(*shape: int) -> list[tuple[int, ...]]:
        return [one.feeds[0].shape for one in buckets.runs([np.zeros(shape)])]

    assert run(1, 8) == [(1, 8)]
    assert run(2, 5) == [(4, 8)]
    assert run(6, 9) == [(4, 16), (4, 16)]
    assert run(5, 16) == [(4, 16), (1, 16)]
