from __future__ import annotations

import pytest

from hookline.container.patience import MOST_WAIT_S, PATIENCE_S, patiently
from hookline.core.errors import HooklineError, NotFound, TooManyRequests, Unavailable
from tests.fakes import FakeClock


class Attempts:
    """Fails with each of `errors` in turn, then returns; `waits_s` are between the calls."""

    def __init__(self, *errors: HooklineError) -> None:
        self.errors, self.waits_s = list(errors), list[float]()
        self._clock = FakeClock()

    def run(self) -> str:
        return patiently(self._attempt, clock=self._clock, sleep=self._sleep)

    def _attempt(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "staged"

    def _sleep(self, wait_s: float) -> None:
        self.waits_s.append(wait_s)
        self._clock.advance(wait_s)


def test_what_aws_could_not_do_for_a_moment_is_tried_again() -> None:
    attempts = Attempts(TooManyRequests("slow down"), Unavailable("500"), Unavailable("no answer"))

    assert attempts.run() == "staged"
    assert len(attempts.waits_s) == 3


def test_waits_grow_up_to_a_limit_and_end_after_a_while() -> None:
    attempts = Attempts(*(Unavailable(str(number)) for number in range(1000)))

    with pytest.raises(Unavailable):
        attempts.run()

    waits_s = attempts.waits_s
    assert PATIENCE_S - MOST_WAIT_S <= sum(waits_s) <= PATIENCE_S
    assert [wait_s <= 2**number for number, wait_s in enumerate(waits_s[:5])] == [True] * 5
    assert all(MOST_WAIT_S / 2 <= wait_s <= MOST_WAIT_S for wait_s in waits_s[5:])


def test_what_does_not_pass_by_itself_is_told_at_once() -> None:
    attempts = Attempts(NotFound("There is no stream 1."), Unavailable("never reached"))

    with pytest.raises(NotFound):
        attempts.run()
    assert attempts.waits_s == []
