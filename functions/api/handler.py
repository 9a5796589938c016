"""Lambda entry of `api`: wiring only, the work is in hookline.control.openapi."""

from hookline.adapters.aws.wiring import ports_from_env
from hookline.control.openapi import build

handler = build(ports_from_env())
