"""Where the command line finds its cloud: an endpoint and a key, stored in a private TOML file.

A home of its own (`--home`, HOOKLINE_HOME) has its profiles inside it, so that two clouds on one
machine never mix; otherwise they are in the user's configuration.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from hookline.core.config import Config
from hookline.core.errors import BadRequest, NotFound

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Profile:
    """A cloud and the key that opens it; without a key only the public routes answer."""

    endpoint: str
    key: str = ""


def path_of(config: Config) -> Path:
    """The file that holds the profiles of this process."""
    return (
        config.home / "profile.toml" if config.has_own_home else config.config_home / "config.toml"
    )


def load(config: Config) -> Profile:
    """What to call and with which key: flags and environment first, then the stored profile.

    A stored key is sent to the endpoint it was stored with and to no other.
    Raise NotFound for a profile that was asked for by name and is not stored.
    """
    stored = _stored(config)
    endpoint = config.endpoint or (stored.endpoint if stored else _local_endpoint(config))
    is_its_own = stored is not None and _same_place(endpoint, stored.endpoint)
    return Profile(endpoint, config.key or (stored.key if stored and is_its_own else ""))


def stored_key(config: Config) -> str:
    """The key in the stored profile, wherever its endpoint is; empty if there is none."""
    entry = _profiles(path_of(config)).get(config.profile or DEFAULT, {})
    return str(entry.get("key", ""))


def save(config: Config, name: str, endpoint: str, key: str) -> Path:
    """Store a profile, readable by its owner alone, and leave the rest of the file as it is."""
    path = path_of(config)
    text = _replaced(_text(path), name or DEFAULT, endpoint, key)
    _parsed(path, text)  # never store what could not be read again
    _write(path, text)
    return path


def forget(config: Config) -> None:
    """Remove the profile, and the file when nothing else is in it. Absent is not an error."""
    path = path_of(config)
    text = _without(_text(path), config.profile or DEFAULT)
    if text:
        _write(path, text + "\n")
    else:
        path.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".profile-")  # mkstemp makes it 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(draft).replace(path)


def find(config: Config, name: str) -> Profile | None:
    """The profile of that name, if it is stored."""
    entry = _profiles(path_of(config)).get(name)
    if entry is None:
        return None
    return Profile(str(entry.get("endpoint", "")), str(entry.get("key", "")))


def _stored(config: Config) -> Profile | None:
    found = find(config, config.profile or DEFAULT)
    if found is None and config.profile:
        path = path_of(config)
        raise NotFound(
            f"There is no profile {config.profile!r} in {path}.",
            hint=f"Those stored: {', '.join(sorted(_profiles(path))) or 'none'}.",
        )
    return found


def _profiles(path: Path) -> dict[str, dict[str, object]]:
    table = _parsed(path, _text(path)).get("profiles", {})
    entries = table.items() if isinstance(table, dict) else ()
    return {name: entry for name, entry in entries if isinstance(entry, dict)}


def _local_endpoint(config: Config) -> str:
    return f"http://127.0.0.1:{config.port}"


def _same_place(left: str, right: str) -> bool:
    return left.rstrip("/") == right.rstrip("/")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _parsed(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadRequest(
            f"{path} is not valid TOML.", why=f"{error}.", hint="Mend or remove the file."
        ) from error


def _replaced(text: str, name: str, endpoint: str, key: str) -> str:
    """`text` with the section of this profile taken out and written anew at the end."""
    before = _without(text, name)
    section = f"{_header(name)}\nendpoint = {_quoted(endpoint)}\nkey = {_quoted(key)}\n"
    return f"{before}\n\n{section}" if before else section


def _without(text: str, name: str) -> str:
    """`text` less the section of this profile and the space at the end."""
    kept, is_ours = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("["):
            is_ours = line.strip() in {_header(name), f"[profiles.{name}]"}
        if not is_ours:
            kept.append(line)
    return "\n".join(kept).rstrip()


def _header(name: str) -> str:
    return f"[profiles.{_quoted(name)}]"


def _quoted(value: str) -> str:
    """A TOML basic string, also as a key."""
    if re.search(r'[\x00-\x1f\x7f"\\]', value):
        raise BadRequest(f"{value!r} cannot be stored in a profile.", hint="Use plain characters.")
    return f'"{value}"'
