"""Lambda entry of `plan`: wiring only, the work is in hookline.batch.plan."""

from hookline.adapters.aws.wiring import ports_from_env
from hookline.batch.plan import build

handler = build(ports_from_env())
