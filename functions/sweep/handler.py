"""Lambda entry of `sweep`: wiring only, the work is in hookline.control.sweep."""

from hookline.adapters.aws.wiring import ports_from_env
from hookline.control.sweep import build

handler = build(ports_from_env())
