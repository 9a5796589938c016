"""Lambda entry of `users`: wiring only, the work is in hookline.control.users."""

from hookline.adapters.aws.wiring import ports_from_env
from hookline.control.users import build

handler = build(ports_from_env())
