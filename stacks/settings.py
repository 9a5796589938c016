"""What is to be deployed, from the context of `cdk`; anything unknown or impossible is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from stacks.devices import CPU, DEVICES, INF1, INF1_REASON, INF1_REGIONS

PREFIX = "hookline:"
_QUOTA = 'a number, or a mapping such as {"default": 10, "acme": 50}'
KEYS = {
    "tenant": "one tenant, instead of hookline:tenants",
    "hookline:tenants": "the tenants, a list",
    "hookline:stage": "dev or prod; dev can be destroyed with its data, and is the default",
    "hookline:image": "the runtime image, with {device} for its kind, or one per device",
    "hookline:region": "the region to deploy to; without it, the one of the credentials",
    "hookline:inf1": f"true, to have Inf1 as well. {INF1_REASON}",
    "hookline:linked-buckets": "the buckets that a tenant's volumes may link to, by tenant",
    "hookline:notify-topics": "the ARNs of the SNS topics that a tenant's jobs may tell, by tenant",
    "hookline:alarm-topic": "the ARN of the SNS topic that alarms go to",
    "hookline:permissions-boundary": "the name of a managed policy that limits every role",
    "hookline:requests-per-s": f"the requests that a tenant's API takes, 500 by default; {_QUOTA}",
    "hookline:max-workers": f"the batch workers that a tenant may have, 20 by default; {_QUOTA}",
    "hookline:max-streams": f"the streams that a tenant may have, 100 by default; {_QUOTA}",
    "hookline:max-replicas": f"the replicas of a tenant's streams, 100 by default; {_QUOTA}",
    "hookline:max-gateways": f"the gateways that a tenant may have, 10 by default; {_QUOTA}",
}
STAGES = ("dev", "prod")
LEAST_GATEWAYS = {"dev": 1, "prod": 2}

_OF_CDK = ("@aws-cdk", "aws:", "aws-cdk:", "cdk-migrate", "cli-")
_TENANT = re.compile(r"[a-z][a-z0-9]{1,19}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ROLE_NAME = re.compile(r"[\w+=,.@/-]{1,128}")
_TOPIC = re.compile(r"arn:aws[\w-]*:sns:[\w-]+:\d{12}:[\w-]+(\.fifo)?")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_DEVICE = "{device}"
_DEFAULT = "default"  # in a mapping of quotas: of every tenant without its own
_BY_TENANT = tuple(  # their values may be mappings
    f"hookline:{name}"
    for name in (
        *("linked-buckets", "notify-topics", "requests-per-s", "max-workers"),
        *("max-streams", "max-replicas", "max-gateways"),
    )
)
_MAX_PRIORITY = 50_000  # of a listener's rules
# Of a role's policies, which have 10,240 characters in all (IAM); a bucket is in two lines of them.
_LINKED_CHARS, _LINE_CHARS = 7500, 20
_TOPIC_CHARS = 1500  # of a function's environment, which has 4 KB (Lambda)


class BadContext(Exception):
    """The context cannot be deployed; the message says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """What a tenant may have at once."""

    requests_per_s: int
    max_workers: int
    max_gateways: int
    max_streams: int
    max_replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """`images` has one image per device that there is to be; `quotas` is by tenant.

    An empty text means: not given.
    """

    tenants: tuple[str, ...]
    images: Mapping[str, str]
    quotas: Mapping[str, Quotas]
    stage: str = "dev"
    region: str = ""
    linked_buckets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notify_topics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    alarm_topic: str = ""
    permissions_boundary: str = ""

    @property
    def is_prod(self) -> bool:
        """Data outlives its stack, and nothing has a single point of failure."""
        return self.stage == "prod"


def from_context(context: Mapping[str, Any]) -> Deployment:
    """Raise BadContext for an unknown key, or a value that cannot be deployed."""
    _refuse_unknown(context)
    tenants = _tenants(context)
    _refuse_strangers(context, tenants)
    region = _matching(context, "hookline:region", _REGION)
    stage = _stage(str(context.get("hookline:stage", "dev")))
    return Deployment(
        tenants=tenants,
        images=_images(context, region),
        quotas=_quotas(context, tenants, LEAST_GATEWAYS[stage]),
        stage=stage,
        region=region,
        linked_buckets=_linked_buckets(_parsed(context, "hookline:linked-buckets", {}), tenants),
        notify_topics=_notify_topics(_parsed(context, "hookline:notify-topics", {}), tenants),
        alarm_topic=_matching(context, "hookline:alarm-topic", _TOPIC),
        permissions_boundary=_matching(context, "hookline:permissions-boundary", _ROLE_NAME),
    )


def _refuse_unknown(context: Mapping[str, Any]) -> None:
    for key in context:
        is_lookup = ":account=" in key or ":filters." in key  # what cdk keeps in cdk.context.json
        if key in KEYS or key.startswith(_OF_CDK) or is_lookup:
            continue
        known = "\n".join(f"  {name}: {meaning}" for name, meaning in KEYS.items())
        raise BadContext(f"The context has no key {key!r}. It has:\n{known}")


def _tenants(context: Mapping[str, Any]) -> tuple[str, ...]:
    if "tenant" in context:
        listed: Any = [context["tenant"]]
    else:
        listed = _parsed(context, "hookline:tenants", [])
    if listed and not isinstance(listed, list):
        raise BadContext(f"hookline:tenants cannot be {listed!r}. It is a list: '[\"acme\"]'.")
    if not listed:
        raise BadContext(
            "No tenant is named. Deploy one with `-c tenant=acme`, or list them under "
            "hookline:tenants in cdk.json."
        )
    names = tuple(_tenant(name) for name in listed)
    if _DEFAULT in names:
        raise BadContext(
            f"{_DEFAULT!r} cannot be a tenant: in a mapping of quotas it is every other one."
        )
    if len(set(names)) != len(names):
        raise BadContext(f"A tenant is listed twice among {', '.join(names)}. Remove one.")
    if len({rule_priority(name) for name in names}) != len(names):
        raise BadContext(
            "Two of the tenants would have the same rule of the load balancer, whose number comes "
            "from the name. Rename the newer one."
        )
    return names


def _refuse_strangers(context: Mapping[str, Any], tenants: tuple[str, ...]) -> None:
    """A mapping may name those of hookline:tenants, also while one of them is deployed alone."""
    listed = _parsed(context, "hookline:tenants", None)
    if "tenant" in context and not listed:
        return  # nothing says who else there is
    known = {*tenants, *(listed or ()), _DEFAULT}
    for key in _BY_TENANT:
        given = _parsed(context, key, {})
        for name in sorted(map(str, given)) if isinstance(given, dict) else ():
            if _TENANT.fullmatch(name) and name not in known:
                raise BadContext(
                    f"{key} names {name}, which is no tenant. hookline:tenants has "
                    f"{', '.join(sorted(known - {_DEFAULT}))}."
                )


def rule_priority(tenant: str) -> int:
    """The number of a tenant's rule: the same whichever tenants are deployed with it."""
    return int(sha256(tenant.encode()).hexdigest(), 16) % _MAX_PRIORITY + 1


def _tenant(name: object) -> str:
    if isinstance(name, str) and _TENANT.fullmatch(name):
        return name
    raise BadContext(
        f"{name!r} cannot be a tenant. Names have 2 to 20 lower-case letters and digits, and start "
        "with a letter: a hyphen would make one tenant's resources look like another's."
    )


def _images(context: Mapping[str, Any], region: str) -> dict[str, str]:
    wants_inf1 = _is_on(context, "hookline:inf1")
    offered = [name for name in DEVICES if name != INF1 or wants_inf1]
    if wants_inf1:
        _refuse_without_inf1(region)
    given = _parsed(context, "hookline:image", "")
    if isinstance(given, str) and given:
        devices = offered if _DEVICE in given else [CPU]
        given = {name: given.replace(_DEVICE, name) for name in devices}
    if not isinstance(given, dict) or not given.get(CPU):
        raise BadContext(
            "The runtime image is not given. Build containers/runtime, push it, and pass "
            "`-c hookline:image=ACCOUNT.dkr.ecr.REGION.amazonaws.com/hookline:TAG-{device}`."
        )
    _refuse_devices(set(given) - set(offered), offered)
    if wants_inf1 and INF1 not in given:
        raise BadContext("hookline:inf1 is set, but hookline:image names no image for inf1.")
    return {name: _image(image) for name, image in given.items()}


def _is_on(context: Mapping[str, Any], key: str) -> bool:
    value = str(context.get(key, "false")).lower()
    if value not in ("true", "false"):
        raise BadContext(f"{key} cannot be {context[key]!r}. It is true or false.")
    return value == "true"


def _refuse_without_inf1(region: str) -> None:
    if region not in INF1_REGIONS:
        raise BadContext(
            f"Inf1 is not offered in {region or 'a region that is not named'}. Set hookline:region "
            f"to one of {', '.join(sorted(INF1_REGIONS))}, or leave hookline:inf1 out."
        )


def _refuse_devices(unknown: set[str], offered: list[str]) -> None:
    if INF1 in unknown:
        raise BadContext(f"hookline:image names inf1, which is off. {INF1_REASON}")
    if unknown:
        raise BadContext(
            f"hookline:image names {', '.join(sorted(unknown))}, which is no device. "
            f"The devices are {', '.join(offered)}."
        )


def _image(image: object) -> str:
    if isinstance(image, str) and image and not re.search(r"\s", image):
        return image
    raise BadContext(f"{image!r} is not an image. Write REGISTRY/REPOSITORY:TAG or @sha256:….")


def _stage(stage: str) -> str:
    if stage not in STAGES:
        raise BadContext(f"There is no stage {stage!r}. hookline:stage is dev or prod.")
    return stage


def _linked_buckets(given: object, tenants: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, dict):
        raise BadContext('hookline:linked-buckets is a mapping such as {"acme": ["photos"]}.')
    for tenant, buckets in given.items():
        _tenant(tenant)
        if not isinstance(buckets, list) or not all(_is_bucket(name) for name in buckets):
            raise BadContext(
                f"{buckets!r} is not what {tenant} may link to. Give a list of names of buckets."
            )
        chars = sum(2 * (len(name) + _LINE_CHARS) for name in buckets)
        _refuse_more(f"The buckets of {tenant}", chars, _LINKED_CHARS, "its roles")
    return {tenant: tuple(given.get(tenant, ())) for tenant in tenants}


def _notify_topics(given: object, tenants: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, dict):
        raise BadContext('hookline:notify-topics is a mapping such as {"acme": ["arn:aws:sns:…"]}.')
    for tenant, topics in given.items():
        _tenant(tenant)
        if not isinstance(topics, list) or not all(_is_topic(topic) for topic in topics):
            raise BadContext(
                f"{topics!r} is not what {tenant} may notify. Give a list of ARNs of SNS topics."
            )
        chars = len(",".join(topics))
        _refuse_more(f"The topics of {tenant}", chars, _TOPIC_CHARS, "its functions' environment")
    return {tenant: tuple(given.get(tenant, ())) for tenant in tenants}


def _refuse_more(what: str, chars: int, most: int, where: str) -> None:
    if chars > most:
        raise BadContext(
            f"{what} take {chars} characters, and there is room for {most} in {where}. Name fewer."
        )


def _is_topic(arn: object) -> bool:
    return isinstance(arn, str) and bool(_TOPIC.fullmatch(arn)) and not arn.endswith(".fifo")


def _is_bucket(name: object) -> bool:
    return isinstance(name, str) and bool(_BUCKET.fullmatch(name))


def _matching(context: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = str(context.get(key, ""))
    if value and not pattern.fullmatch(value):
        raise BadContext(f"{key} cannot be {value!r}. It is {KEYS[key]}.")
    return value


def _quotas(
    context: Mapping[str, Any], tenants: tuple[str, ...], least_gateways: int
) -> dict[str, Quotas]:
    rates = _quota(context, "hookline:requests-per-s", tenants, 500, range(1, 100_001))
    workers = _quota(context, "hookline:max-workers", tenants, 20, range(1, 1001))
    gateways = _quota(context, "hookline:max-gateways", tenants, 10, range(least_gateways, 1001))
    streams = _quota(context, "hookline:max-streams", tenants, 100, range(1, 2001))
    replicas = _quota(context, "hookline:max-replicas", tenants, 100, range(1, 5001))
    return {
        name: Quotas(
            requests_per_s=rates[name],
            max_workers=workers[name],
            max_gateways=gateways[name],
            max_streams=streams[name],
            max_replicas=replicas[name],
        )
        for name in tenants
    }


def _quota(
    context: Mapping[str, Any], key: str, tenants: tuple[str, ...], default: int, allowed: range
) -> dict[str, int]:
    """The number of each tenant: its own, else the mapping's default, else ours."""
    given = _parsed(context, key, default)
    by_name = given if isinstance(given, dict) else {_DEFAULT: given}
    numbers = {_tenant(name): _number(key, one, allowed) for name, one in by_name.items()}
    return {name: numbers.get(name, numbers.get(_DEFAULT, default)) for name in tenants}


def _number(key: str, value: object, allowed: range) -> int:
    text = str(value)
    if text.isascii() and text.isdecimal() and int(text) in allowed:
        return int(text)
    raise BadContext(
        f"{key} cannot be {value!r}. It is {KEYS[key]}, of {allowed[0]} to {allowed[-1]}."
    )


def _parsed(context: Mapping[str, Any], key: str, default: object) -> Any:
    """Values of `-c` are texts; those that cdk.json has as lists or mappings come as JSON there."""
    value = context.get(key, default)
    if not isinstance(value, str) or not value.startswith(("[", '{"')):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise BadContext(f"{key} cannot be read: {value!r} is not JSON.") from None
