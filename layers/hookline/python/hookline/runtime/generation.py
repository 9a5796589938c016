"""Continues a sequence of tokens with a model that scores the next one: greedily, or with beams.

The model takes tokens int [N, T] and answers scores [N, T, V], of which those of the last step are
used. Inputs and outputs are known by the names that exporters give them: a mask of ones
(attention_mask), positions (position_ids), and keys and values of earlier tokens, which come out as
present… and go in as past…. With those each step is fed one token; without, the whole sequence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hookline.core.errors import InvalidInput
from hookline.runtime.backends.tensors import Backend, TensorSpec
from hookline.runtime.beams import log_probabilities

Array = np.ndarray[Any, Any]
MAX_TOKENS = 20
PAST = "past"  # how the names of those inputs begin
_PASTS, _PRESENTS = ("past_key_values", PAST), ("present_key_values", "present")
_MASK, _POSITIONS, _HAS_PAST = "attention_mask", "position_ids", "use_cache_branch"
_SCORES_RANK = 3


@dataclass(frozen=True, slots=True)
class Wish:
    """How far to go on, how many sequences to keep, and the token that ends one."""

    max_tokens: int = MAX_TOKENS
    num_beams: int = 1
    end: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_tokens", "num_beams"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}.", hint="Ask for 1 or more.")


@dataclass(frozen=True, slots=True)
class _Beams:
    """Sequences that go on: generated tokens [B, t], their log probabilities [B], and the past."""

    tokens: Array
    totals: Array
    past: Mapping[str, Array]


@dataclass(slots=True)
class _Ended:
    """The best sequences that have their end, best first."""

    most: int
    found: list[tuple[float, list[int]]] = field(default_factory=list)

    def add(self, total: float, tokens: Sequence[int]) -> None:
        self.found.append((total, list(tokens)))
        self.found.sort(key=lambda each: -each[0])
        del self.found[self.most :]

    def are_better_than(self, total: float) -> bool:
        """Whether nothing that goes on from `total` can be among them: totals only fall."""
        return len(self.found) == self.most and self.found[-1][0] >= total


class Decoder:
    """Generates with `backend`. Raise InvalidInput where it is no model of tokens."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        names = {spec.name for spec in backend.inputs}
        self._past = _pairs(backend)
        special = {_MASK, _POSITIONS, _HAS_PAST, *self._past}
        others = [s for s in backend.inputs if s.name not in special]
        scores = [s for s in backend.outputs if len(s.shape) == _SCORES_RANK]
        scores = [s for s in scores if s.name not in self._past.values()]
        if len(others) != 1 or not others[0].dtype.startswith("int") or not scores:
            raise InvalidInput(
                "The model does not continue sequences of tokens.",
                why=f"It takes {_listed(backend.inputs)} and answers {_listed(backend.outputs)}.",
                hint="It should take tokens [N, T], and answer their scores [N, T, V].",
            )
        self._tokens, self._scores = others[0], scores[0].name
        self._names = names

    @property
    def has_past(self) -> bool:
        return bool(self._past)

    def generate(self, prompt: Array, wish: Wish) -> Array:
        """What follows `prompt`, int [T]: int64 [beams, steps], best first, filled up with `end`.

        The likeliest is that with the highest product of its tokens' probabilities.
        """
        beams = _Beams(np.zeros((1, 0), np.int64), np.zeros(1), self._empty_past())
        ended = _Ended(wish.num_beams)
        for _ in range(wish.max_tokens):
            scores, past = self._step(prompt, beams)
            beams = _chosen(beams, scores, past, wish, ended)
            if not len(beams.totals) or ended.are_better_than(float(beams.totals.max())):
                break
        for total, tokens in zip(beams.totals, beams.tokens.tolist(), strict=True):
            ended.add(float(total), tokens)
        longest = max(len(tokens) for _, tokens in ended.found)
        fill = 0 if wish.end is None else wish.end
        return np.array([row + [fill] * (longest - len(row)) for _, row in ended.found], np.int64)

    def _step(self, prompt: Array, beams: _Beams) -> tuple[Array, dict[str, Array]]:
        """Scores of the next token [B, V], and the past that they leave."""
        count, steps = beams.tokens.shape
        whole = np.concatenate([np.tile(prompt, (count, 1)), beams.tokens], axis=1)
        is_first = steps == 0
        fed = whole if is_first or not self.has_past else whole[:, -1:]
        feeds = {self._tokens.name: fed.astype(self._tokens.numpy_dtype), **beams.past}
        optional = {
            _MASK: np.ones(whole.shape),
            _POSITIONS: np.tile(np.arange(whole.shape[1])[-fed.shape[1] :], (count, 1)),
            _HAS_PAST: np.array([not is_first]),
        }
        kinds = {spec.name: spec.numpy_dtype for spec in self._backend.inputs}
        feeds |= {n: v.astype(kinds[n]) for n, v in optional.items() if n in self._names}
        names = [spec.name for spec in self._backend.outputs]
        found = dict(zip(names, self._backend.run(feeds), strict=True))
        past = {name: found[present] for name, present in self._past.items()}
        return log_probabilities(found[self._scores][:, -1].astype(np.float64)), past

    def _empty_past(self) -> dict[str, Array]:
        """Keys and values of no token: their open dimension is the number of tokens."""
        specs = [spec for spec in self._backend.inputs if spec.name in self._past]
        return {
            spec.name: np.zeros((1, *(max(size, 0) for size in spec.shape[1:])), spec.numpy_dtype)
            for spec in specs
        }


def _chosen(
    beams: _Beams, scores: Array, past: Mapping[str, Array], wish: Wish, ended: _Ended
) -> _Beams:
    """The best of all that the beams may become; those that end go to `ended`."""
    totals = (beams.totals[:, None] + scores).ravel()
    # Of twice as many at most half end, so that enough go on.
    best = np.argsort(-totals, kind="stable")[: 2 * wish.num_beams]
    parents, tokens = np.divmod(best, scores.shape[1])
    is_end = tokens == wish.end if wish.end is not None else np.zeros(len(best), bool)
    for at in np.flatnonzero(is_end[: wish.num_beams]):
        ended.add(float(totals[best[at]]), beams.tokens[parents[at]].tolist())
    kept = np.flatnonzero(~is_end)[: wish.num_beams]
    parents, tokens = parents[kept], tokens[kept]
    return _Beams(
        np.concatenate([beams.tokens[parents], tokens[:, None]], axis=1),
        totals[best[kept]],
        {name: value[parents] for name, value in past.items()},
    )


def _pairs(backend: Backend) -> dict[str, str]:
    """The past inputs, each with the output that is it after a step."""
    presents = {_stem(spec.name, _PRESENTS): spec.name for spec in backend.outputs}
    pasts = {spec.name: _stem(spec.name, _PASTS) for spec in backend.inputs}
    return {name: presents[stem] for name, stem in pasts.items() if stem and stem in presents}


def _stem(name: str, beginnings: Sequence[str]) -> str:
    """What follows one of the beginnings; empty for other names."""
    found = next((each for each in beginnings if name.startswith(each)), "")
    return name.removeprefix(found).strip("._") if found else ""


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {list(spec.shape)}" for spec in specs[:4])
