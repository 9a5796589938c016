from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from stacks.settings import KEYS, BadContext, Deployment, Quotas, from_context, rule_priority

GUIDE = Path(__file__).parents[2] / "docs" / "aws.md"
IMAGE = "r.example/hookline:1-{device}"


def deployment(**context: Any) -> Deployment:
    return from_context({"tenant": "acme", "hookline:image": IMAGE} | context)


def refusal(**context: Any) -> str:
    with pytest.raises(BadContext) as refused:
        deployment(**context)
    return str(refused.value)


def test_one_tenant_and_an_image_are_enough() -> None:
    found = deployment()
    assert found.tenants == ("acme",)
    assert found.stage == "dev"
    assert found.images == {
        "cpu": "r.example/hookline:1-cpu",
        "gpu": "r.example/hookline:1-gpu",
        "inf2": "r.example/hookline:1-inf2",
    }


def test_tenants_may_be_listed() -> None:
    listed = {"hookline:tenants": ["acme", "globex"], "hookline:image": IMAGE}
    assert from_context(listed).tenants == ("acme", "globex")
    as_text = {"hookline:tenants": '["acme", "globex"]', "hookline:image": IMAGE}
    assert from_context(as_text).tenants == ("acme", "globex")


def test_the_keys_of_the_cdk_itself_are_left_alone() -> None:
    deployment(**{"@aws-cdk/core:stackRelativeExports": True, "aws:cdk:bundling-stacks": []})
    deployment(**{"availability-zones:account=1:region=eu-west-1": ["a"]})


def test_an_unknown_key_is_refused_with_those_that_are_known() -> None:
    told = refusal(**{"hookline:tenant": "acme"})
    assert "no key 'hookline:tenant'" in told
    assert "hookline:tenants: the tenants, a list" in told


@pytest.mark.parametrize("name", ["a-b", "Acme", "a", "1st", "a" * 21, "", "a_b", 7, "acme--x"])
def test_a_name_that_could_be_mistaken_for_another_is_no_tenant(name: object) -> None:
    assert "cannot be a tenant" in refusal(tenant=name)


def test_there_must_be_a_tenant_and_each_once() -> None:
    nothing: tuple[object, ...] = ([], "", {})
    for none in nothing:
        with pytest.raises(BadContext, match="No tenant is named"):
            from_context({"hookline:image": IMAGE, "hookline:tenants": none})
    for word in ("acme", "acme,globex"):
        with pytest.raises(BadContext, match="It is a list"):
            from_context({"hookline:image": IMAGE, "hookline:tenants": word})
    with pytest.raises(BadContext, match="'default' cannot be a tenant"):
        from_context({"hookline:image": IMAGE, "tenant": "default"})
    with pytest.raises(BadContext, match="listed twice"):
        from_context({"hookline:image": IMAGE, "hookline:tenants": ["acme", "acme"]})
    with pytest.raises(BadContext, match="is not JSON"):
        from_context({"hookline:image": IMAGE, "hookline:tenants": "[acme"})


def test_two_tenants_with_the_same_rule_are_refused() -> None:
    seen: dict[int, str] = {}
    names = (f"t{number}" for number in count())
    twins = next(
        [former, name]
        for name in names
        if (former := seen.setdefault(rule_priority(name), name)) != name
    )
    with pytest.raises(BadContext, match="the same rule"):
        from_context({"hookline:image": IMAGE, "hookline:tenants": twins})


def test_a_missing_image_says_how_to_make_one() -> None:
    with pytest.raises(BadContext, match="containers/runtime") as refused:
        from_context({"tenant": "acme"})
    assert "-c hookline:image=" in str(refused.value)
    assert "not given" in refusal(**{"hookline:image": {"gpu": "x"}})


def test_an_image_without_a_device_in_its_name_is_the_one_of_the_cpu() -> None:
    assert deployment(**{"hookline:image": "r/x:1"}).images == {"cpu": "r/x:1"}


def test_each_device_may_have_an_image_of_its_own() -> None:
    images = {"cpu": "r/x@sha256:1", "gpu": "r/y@sha256:2"}
    assert deployment(**{"hookline:image": images}).images == images
    assert "no device" in refusal(**{"hookline:image": images | {"tpu": "r/z"}})
    assert "is not an image" in refusal(**{"hookline:image": images | {"gpu": "a b"}})


def test_inf1_is_off_and_says_why() -> None:
    told = refusal(**{"hookline:image": {"cpu": "r/x", "inf1": "r/y"}})
    assert "AWS ended its support of Inf1" in told
    assert "hookline:inf1=true" in told


def test_inf1_takes_a_region_that_has_it() -> None:
    on = {"hookline:inf1": "true"}
    assert "a region that is not named" in refusal(**on)
    assert "not offered in ap-southeast-7" in refusal(**on, **{"hookline:region": "ap-southeast-7"})
    there = on | {"hookline:region": "us-east-1"}
    assert deployment(**there).images["inf1"] == "r.example/hookline:1-inf1"
    assert "no image for inf1" in refusal(**there, **{"hookline:image": {"cpu": "r/x"}})


def test_what_would_not_fit_into_a_role_or_a_functions_environment_is_refused() -> None:
    buckets = [f"{number:03}{'x' * 60}" for number in range(60)]
    assert "room for 7500 in its roles" in refusal(**{"hookline:linked-buckets": {"acme": buckets}})
    topics = [f"arn:aws:sns:eu-west-1:123456789012:done-{number}" for number in range(60)]
    assert "room for 1500" in refusal(**{"hookline:notify-topics": {"acme": topics}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hookline:stage", "production"),
        ("hookline:inf1", "yes"),
        ("hookline:region", "Ireland"),
        ("hookline:alarm-topic", "my-topic"),
        ("hookline:permissions-boundary", "two words"),
        ("hookline:requests-per-s", "0"),
        ("hookline:requests-per-s", "many"),
        ("hookline:requests-per-s", ["500"]),
        ("hookline:requests-per-s", {"acme": 1.5}),
        ("hookline:requests-per-s", "²"),
        ("hookline:max-workers", 0),
        ("hookline:max-workers", 1001),
        ("hookline:max-workers", {"acme": True}),
        ("hookline:max-gateways", {"default": -1}),
        ("hookline:max-streams", 0),
        ("hookline:max-replicas", "5001"),
        ("hookline:max-gateways", '{"acme"'),
        ("hookline:linked-buckets", ["photos"]),
        ("hookline:linked-buckets", {"acme": "photos"}),
        ("hookline:linked-buckets", {"acme": ["*"]}),
        ("hookline:notify-topics", ["arn:aws:sns:eu-west-1:123456789012:done"]),
        ("hookline:notify-topics", {"acme": "arn:aws:sns:eu-west-1:123456789012:done"}),
        ("hookline:notify-topics", {"acme": ["*"]}),
        ("hookline:notify-topics", {"acme": ["arn:aws:sns:eu-west-1:123456789012:done.fifo"]}),
    ],
)
def test_a_bad_value_is_refused(key: str, value: object) -> None:
    assert key in refusal(**{key: value}) or repr(value["acme"]) in refusal(**{key: value})  # type: ignore[index]  # the mappings


def test_a_quota_is_one_number_or_one_for_each_tenant() -> None:
    both = {"hookline:tenants": ["acme", "globex"], "hookline:image": IMAGE}
    usual = Quotas(
        requests_per_s=500, max_workers=20, max_gateways=10, max_streams=100, max_replicas=100
    )
    assert from_context(both).quotas == {"acme": usual, "globex": usual}

    for rates in ({"acme": 9, "default": "70"}, '{"acme": 9, "default": 70}'):
        found = from_context(both | {"hookline:requests-per-s": rates, "hookline:max-workers": "5"})
        assert found.quotas == {
            "acme": replace(usual, requests_per_s=9, max_workers=5),
            "globex": replace(usual, requests_per_s=70, max_workers=5),
        }


def test_a_bad_quota_says_what_may_be_given() -> None:
    told = refusal(**{"hookline:max-workers": {"acme": "lots"}})
    assert "hookline:max-workers cannot be 'lots'" in told
    assert 'a number, or a mapping such as {"default": 10, "acme": 50}, of 1 to 1000.' in told
    assert "'a-b' cannot be a tenant" in refusal(**{"hookline:max-workers": {"a-b": 1}})


def test_a_tenant_that_there_is_not_has_no_quotas_and_no_buckets() -> None:
    both = {"hookline:tenants": ["acme", "globex"], "hookline:image": IMAGE}
    for key, value in (("max-workers", 5), ("linked-buckets", ["photos"])):
        mapping = {f"hookline:{key}": {"amce": value}}
        for alone in ({}, {"tenant": "acme"}):
            with pytest.raises(BadContext, match="names amce, which is no tenant"):
                from_context(both | mapping | alone)
    others = {"hookline:max-workers": {"globex": 5, "default": 7}}
    assert from_context(both | others | {"tenant": "acme"}).quotas["acme"].max_workers == 7
    assert deployment(**others).quotas["acme"].max_workers == 7


def test_prod_has_no_single_gateway() -> None:
    one = {"hookline:max-gateways": 1}
    assert deployment(**one).quotas["acme"].max_gateways == 1
    assert "of 2 to 1000" in refusal(**one, **{"hookline:stage": "prod"})


def test_linked_buckets_may_come_from_the_command_line() -> None:
    given = {"hookline:linked-buckets": '{"acme": ["photos"]}'}
    assert deployment(**given).linked_buckets == {"acme": ("photos",)}


def test_topics_may_come_from_the_command_line() -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:done"
    given = {"hookline:notify-topics": json.dumps({"acme": [topic]})}
    assert deployment(**given).notify_topics == {"acme": (topic,)}


def test_every_key_of_the_context_is_documented_once_and_no_other() -> None:
    rows = re.findall(r"^\| `(tenant|hookline:[\w-]+)` \| \S", GUIDE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(KEYS)
