from __future__ import annotations

import pytest

from hookline.core.errors import InvalidInput
from hookline.core.targets import Targets, check_all, networks, parse

NOWHERE = Targets()
HERE = Targets(networks=networks("127.0.0.0/8, ::1/128"))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hook?token=a%20b&x=[1]",
        "https://example.com:8443/",
        "https://93.184.216.34/hook",
        "https://[2606:4700::1111]:443/hook",
        "https://a.b-c.example/~x/;y",
        "https://example.com/@user",
    ],
)
def test_urls_of_the_open_internet_may_be_notified(url: str) -> None:
    NOWHERE.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://127.0.0.1",
        "http://localhost",
        "http://[::1]",
        "http://0.0.0.0",
        "https://127.0.0.1/",
        "https://127.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.1",
        "https://017700000001",
        "https://0177.0.0.1",
        "https://[::ffff:127.0.0.1]",
        "https://[::127.0.0.1]",
        "https://169.254.169.254/latest/meta-data/",
        "https://169.254.170.2/v2/credentials",
        "https://[fd00:ec2::254]/",
        "https://10.0.0.1",
        "https://172.16.0.1",
        "https://192.168.0.1",
        "https://100.64.0.1",
        "https://224.0.0.1",
        "https://255.255.255.255",
        "https://[fe80::1%25eth0]",
        "https://[fe80::1]",
        "https://[64:ff9b::7f00:1]",
        "https://[2002:7f00:1::]",
        "https://[2001:0:7f00:1::]",
        "https://[ff02::1]",
        "file:///etc/passwd",
        "gopher://example.com",
        "ftp://example.com",
        "dict://example.com",
        "jar:https://example.com!/x",
        "data:text/plain,x",
        "s3://bucket/x",
        "https://good@127.0.0.1",
        "https://good:pass@example.com/",
        "https://good#@127.0.0.1",
        "https://127.0.0.1\\@good",
        "https://example.com\\@127.0.0.1",
        "https://example.com/a b",
        "https://example.com/\r\nHost: x",
        "https://example.com/ü",
        "https://exämple.com/",
        "https://example.com:22/",
        "https://example.com:25/",
        "https://example.com:0443/",
        "https://example.com:65536/",
        "https://example.com:/",
        "https:///hook",
        "https://.example.com/",
        "https://example..com/",
        "https://" + "a" * 3000,
        "HTTPS://example.com/",
        "//example.com",
        "",
        "arn:aws:sns:eu-west-1:123456789012:done",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        NOWHERE.check(url)


def test_a_refused_url_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as refused:
        NOWHERE.check("https://ada:s3cret@example.com/")

    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/x", "http://[::1]:8000", "https://127.1.2.3"]
)
def test_the_operators_networks_may_be_notified(url: str) -> None:
    HERE.check(url)


def test_the_operators_networks_open_no_others() -> None:
    for url in ("http://10.0.0.1/", "https://10.0.0.1/", "http://93.184.216.34/"):
        with pytest.raises(InvalidInput):
            HERE.check(url)


def test_one_bad_address_of_a_host_is_too_many() -> None:
    url = parse("https://example.com/")

    assert check_all(NOWHERE, url, ["93.184.216.34", "2606:4700::1111"]) == "93.184.216.34"
    for addresses in (["93.184.216.34", "10.0.0.1"], ["::1"], ["fe80::1%eth0"], []):
        with pytest.raises(InvalidInput):
            check_all(NOWHERE, url, addresses)


def test_a_name_is_asked_without_tls_where_it_leads_to_an_allowed_network_only() -> None:
    url = HERE.url("http://hook.example/")

    assert check_all(HERE, url, ["127.0.0.1"]) == "127.0.0.1"
    with pytest.raises(InvalidInput, match="Only https"):
        check_all(HERE, url, ["93.184.216.34"])


def test_only_named_topics_may_be_notified() -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:done"

    Targets(topics=frozenset({topic})).check(topic)

    with pytest.raises(InvalidInput, match="No SNS topic"):
        NOWHERE.check(topic)
    with pytest.raises(InvalidInput, match="The topics of this tenant are"):
        Targets(topics=frozenset({topic})).check(f"{topic}-not")


@pytest.mark.parametrize("text", ["10.0.0.1/8", "x", "10.0.0.0/33"])
def test_networks_are_read_strictly(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever its words
        networks(text)
