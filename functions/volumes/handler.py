"""Lambda entry of `volumes`: wiring only, the work is in hookline.control.volumes."""

from hookline.adapters.aws.wiring import ports_from_env, targets_from_env
from hookline.control.volumes import build

handler = build(ports_from_env(), targets=targets_from_env())
