"""Lambda entry of `models`: wiring only, the work is in hookline.control.models."""

from hookline.adapters.aws.wiring import ports_from_env
from hookline.control.models import build

handler = build(ports_from_env())
