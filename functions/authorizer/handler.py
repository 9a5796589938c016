"""Lambda entry of `authorizer`: wiring only, the work is in hookline.control.authorizer."""

from hookline.adapters.aws.wiring import ports_from_env
from hookline.control.authorizer import build

handler = build(ports_from_env())
