"""Lambda entry of `notify`: wiring only, the work is in hookline.control.notices."""

from hookline.adapters.aws.wiring import ports_from_env, publisher, targets_from_env
from hookline.control.notices import build

handler = build(ports_from_env(), targets=targets_from_env(), publish=publisher())
