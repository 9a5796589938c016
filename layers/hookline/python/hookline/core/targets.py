"""Where notices may be sent: to https URLs of the open internet, and where the operator allows.

A URL is read as strictly as it will be used, and the addresses of its host are judged one by one:
names may lead anywhere, so the address that was judged is the one to connect to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from hookline.core.errors import InvalidInput

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL_CHARS = 2000
TOPIC_PREFIX = "arn:"
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]+))"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>[/?][!-~]*)?"
)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# The last label begins with a letter: no address in any spelling (127.1, 0x7f000001) does.
_NAME = re.compile(rf"(?:{_LABEL}\.)*[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?")
_MAX_HOST_CHARS = 253
_FIRST_OPEN_PORT, _LAST_PORT = 1024, 65_535  # below: mail, logins and the like
_WEB_PORTS = {"http": 80, "https": 443}
_UNICAST_V6 = ip_network("2000::/3")
# Addresses that carry an IPv4 address, which a router on the way may turn into it: 6to4, Teredo.
_CARRYING = (ip_network("2002::/16"), ip_network("2001::/32"))


@dataclass(frozen=True, slots=True)
class Url:
    """A URL that may be asked, apart from what its host resolves to. `path` begins with a slash."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def address(self) -> Address | None:
        """The host, where it is an address and no name."""
        return None if _NAME.fullmatch(self.host) else ip_address(self.host)


@dataclass(frozen=True, slots=True)
class Targets:
    """What the operator allows beside the open internet.

    `networks` may be reached although they are not public, by http:// as well. `topics` are ARNs.
    """

    networks: tuple[Network, ...] = ()
    topics: frozenset[str] = frozenset()

    def check(self, target: str) -> None:
        """Raise InvalidInput for what could never be notified."""
        if target.startswith(TOPIC_PREFIX):
            self._check_topic(target)
        else:
            self.url(target)

    def url(self, text: str) -> Url:
        """The parts of a URL. Raise InvalidInput for one that is not to be asked."""
        parsed = parse(text)
        if parsed.address is not None:
            self.check_address(parsed, parsed.address)
        elif parsed.scheme == "http" and not self.networks:
            raise _refused("Only https:// is notified.")
        return parsed

    def check_address(self, url: Url, address: Address) -> None:
        """Raise InvalidInput if the host of `url` is not to be found at this address."""
        if any(address in network for network in self.networks):
            return
        if not _is_public(address):
            raise _refused(f"{url.host} is at {address}, which is not on the open internet.")
        if url.scheme == "http":
            raise _refused("Only https:// is notified.")

    def _check_topic(self, topic: str) -> None:
        if topic in self.topics:
            return
        if not self.topics:
            raise InvalidInput(
                "No SNS topic can be notified here.",
                why="None was named when this cloud was set up, and on one machine there are none.",
                hint="Give an https:// URL, or name the topic in `hookline:notify-topics`.",
            )
        raise InvalidInput(
            f"The topic {topic[:200]} cannot be notified.",
            why=f"The topics of this tenant are {', '.join(sorted(self.topics))}.",
        )


OPEN_INTERNET = Targets()


def networks(text: str) -> tuple[Network, ...]:
    """Networks as `10.0.0.0/8, fd00::/8`. Raise ValueError for anything else."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def parse(text: str) -> Url:
    """Read a URL. Raise InvalidInput for one that others could read in another way."""
    found = _URL.fullmatch(text) if len(text) <= MAX_URL_CHARS else None
    if found is None or "@" in text.partition("://")[2].partition("/")[0]:
        raise _refused("It is not of the form https://host/path, without a user or spaces.")
    if "#" in text or "\\" in text:
        raise _refused("It holds a # or a backslash.")
    host = found["v6"] or found["host"]
    _check_host(host, is_v6=found["v6"] is not None)
    port = int(found["port"] or _WEB_PORTS[found["scheme"]])
    if port not in _WEB_PORTS.values() and not _FIRST_OPEN_PORT <= port <= _LAST_PORT:
        raise _refused(f"Its port {port} is not one of the web: 443, 80 or from 1024 on.")
    path = found["path"] or "/"
    return Url(found["scheme"], host, port, path if path.startswith("/") else f"/{path}")


def _check_host(host: str, *, is_v6: bool) -> None:
    if not is_v6 and _NAME.fullmatch(host) and len(host) <= _MAX_HOST_CHARS:
        return
    try:
        address = ip_address(host)
    except ValueError:
        raise _refused("Its host is neither a name nor an address in its usual form.") from None
    if (address.version == 6) != is_v6:  # noqa: PLR2004 - IP's versions
        raise _refused("Its host is no address in its usual form.")


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        carries = any(address in network for network in _CARRYING)
        return address in _UNICAST_V6 and address.is_global and not carries
    return address.is_global and not address.is_multicast and not address.is_reserved


def _refused(why: str) -> InvalidInput:
    # The URL is not shown: its path may be all that keeps others from using it.
    return InvalidInput(
        "The URL to notify is refused.", why=why, hint="Give one like https://example.com/hook."
    )


def check_all(targets: Targets, url: Url, addresses: Sequence[str]) -> str:
    """The address to connect to, once every address of the host is allowed."""
    if not addresses:
        raise _refused(f"{url.host} has no address.")
    for address in addresses:
        targets.check_address(url, ip_address(address.partition("%")[0]))
    return addresses[0]
