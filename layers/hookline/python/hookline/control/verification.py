"""GET /v1/batches/{job_id}/verify: is every file of a job one row of its results?

The check itself is the batch engine's, which stands above this package: it is given to `build`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from aws_lambda_powertools.event_handler import Request
from aws_lambda_powertools.event_handler.depends import Depends

from hookline.control import app, paging
from hookline.control.caller import Calling
from hookline.control.paging import PageToken
from hookline.core.ports import Ports
from hookline.core.records import Job
from hookline.core.topology import Handler
from hookline.core.views.jobs import VerificationView

router = app.Router()

Check = Callable[[Job, str], tuple[VerificationView, str]]
"""Checks a job from a position on: what was found, and the position to go on from."""


def build(ports: Ports, check: Check) -> Handler:
    """The handler of the route below."""
    return app.handler([router], ports, check=check)


def _check(request: Request) -> Check:
    check: Check = request.context["check"]
    return check


@router.get("/v1/batches/<job_id>/verify")
def verify(
    call: Calling, job_id: int, check: Annotated[Check, Depends(_check)], page_token: PageToken = ""
) -> VerificationView:
    """Read the files, rows and results of a job again, and say what is wrong with them.

    A long check goes on with `next_page_token`; counts are those up to there.
    """
    turn = paging.turn(call, 1, page_token)
    view, after = check(call.find(Job, job_id), turn.after)
    return view.model_copy(update={"next_page_token": turn.token(after)})
