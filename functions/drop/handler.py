"""Lambda entry of `drop`: wiring only, the work is in hookline.control.drops."""

from hookline.adapters.aws.wiring import ports_from_env
from hookline.control.drops import build

handler = build(ports_from_env())
