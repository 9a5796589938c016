"""Lambda entry of `streams`: wiring only, the work is in hookline.control.streams."""

from hookline.adapters.aws.wiring import ports_from_env
from hookline.control.streams import build

handler = build(ports_from_env())
