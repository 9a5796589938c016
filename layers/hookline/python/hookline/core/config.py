"""Every setting a process takes from its environment, parsed once and then passed on.

An unknown HOOKLINE_ variable or a bad value stops the process, naming it and what is allowed.
Precedence: flag, environment, default; the command line's flags are applied by the caller.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from hookline.core.errors import BadRequest
from hookline.core.targets import Network, networks

PREFIX = "HOOKLINE_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings. Each field is HOOKLINE_<NAME>; docs/settings.md explains them."""

    home: Path
    config_home: Path
    endpoint: str = ""
    profile: str = ""
    key: str = ""
    host: str = "127.0.0.1"
    port: int = 8700
    workers: int = 0  # batch workers; 0 means one per core
    chaos: int | None = None
    sandbox: str = "auto"
    log_level: str = "INFO"
    trace_hooks: bool = False
    code_dir: str = ""
    notify_networks: tuple[Network, ...] = ()
    has_own_home: bool = False  # `home` was given, not the default


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:  # noqa: PLR2004 - the range of a TCP port
        raise ValueError
    return value


def natural(text: str) -> int:
    """A number from 0 on. Raise ValueError for anything else."""
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError
        return text

    return parse


Parsers = Mapping[str, tuple[Callable[[str], object], str]]
"""What makes a setting of its text, and what is allowed, in words; by its name."""

PARSERS: dict[str, tuple[Callable[[str], object], str]] = {
    "home": (lambda text: Path(text).expanduser().absolute(), "a folder"),
    "endpoint": (str, "a URL such as http://127.0.0.1:8700"),
    "profile": (str, "the name of a profile"),
    "key": (str, "an API key"),
    "host": (str, "an address to listen on"),
    "port": (_port, "a number from 0 to 65535"),
    "workers": (natural, "a number, 0 for one per core"),
    "chaos": (natural, "a number, the seed of the disorder"),
    "sandbox": (_choice("auto", "on", "off"), "auto, on or off"),
    "log_level": (_choice("DEBUG", "INFO", "WARNING", "ERROR"), "DEBUG, INFO, WARNING or ERROR"),
    "trace_hooks": (lambda text: bool(int(_choice("0", "1")(text))), "0 or 1"),
    "code_dir": (str, "a folder"),
    "notify_networks": (networks, "networks such as 10.0.0.0/8, separated by commas"),
}


def from_environment(environ: Mapping[str, str] = os.environ) -> Config:
    """The settings of this process. Raise BadRequest for one that is unknown or malformed."""
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX)
    }
    values = {name: _parsed(name, value) for name, value in given.items()}
    user_home = Path(environ.get("HOME", "/"))
    data_home = Path(environ.get("XDG_DATA_HOME", "") or user_home / ".local" / "share")
    config_home = Path(environ.get("XDG_CONFIG_HOME", "") or user_home / ".config")
    values.setdefault("home", data_home / "hookline")
    has_own_home = "home" in given
    return Config(config_home=config_home / "hookline", has_own_home=has_own_home, **values)  # type: ignore[arg-type]  # parsed above


def _parsed(name: str, value: str) -> object:
    if name not in PARSERS:
        known = ", ".join(PREFIX + field.upper() for field in sorted(PARSERS))
        raise BadRequest(
            f"{PREFIX}{name.upper()} is not a setting.", why=f"The settings are {known}."
        )
    parse, allowed = PARSERS[name]
    try:
        return parse(value)
    except ValueError:
        shown = "***" if name == "key" else repr(value)
        raise BadRequest(
            f"{PREFIX}{name.upper()} cannot be {shown}.", hint=f"Set it to {allowed}."
        ) from None


NAMES: tuple[str, ...] = tuple(field.name for field in fields(Config) if field.name in PARSERS)
