"""Lambda entry of `batches`: wiring only, the work is in hookline.control.batches."""

from hookline.adapters.aws.wiring import ports_from_env, targets_from_env
from hookline.control.batches import build

handler = build(ports_from_env(), targets=targets_from_env())
