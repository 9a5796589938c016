"""Lambda entry of `finish`: wiring only, the work is in hookline.batch.finish."""

from hookline.adapters.aws.wiring import ports_from_env
from hookline.batch.finish import build

handler = build(ports_from_env())
