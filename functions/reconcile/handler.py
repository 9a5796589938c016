"""Lambda entry of `reconcile`: wiring only, the work is in hookline.control.reconcile."""

from hookline.adapters.aws.wiring import ports_from_env
from hookline.control.reconcile import build

# No workers: on AWS their service scales by its queue's backlog (stacks/constructs/workers.py).
handler = build(ports_from_env(), workers=0)
