"""The steps that `make smoke-aws` takes on an account work on this machine."""

from __future__ import annotations

import pytest

from tests.aws import steps
from tests.e2e.cloud import Cloud


def test_the_smoke_test_passes_here(cloud: Cloud) -> None:
    steps.everything(cloud, patience_s=60)


def test_the_smoke_test_sees_what_is_left(cloud: Cloud) -> None:
    class Forgetful:
        """Deletes no volume."""

        run = staticmethod(
            lambda *words: None if words[:2] == ("volume", "delete") else cloud.run(*words)
        )
        ask = staticmethod(cloud.ask)

    with pytest.raises(AssertionError):
        steps.everything(Forgetful(), patience_s=60)
