"""Lambda entry of `verify`: wiring only, the work is in hookline.batch.verify."""

from hookline.adapters.aws.wiring import ports_from_env
from hookline.batch.verify import build

handler = build(ports_from_env())
