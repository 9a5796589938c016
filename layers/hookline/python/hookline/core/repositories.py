"""Which repositories may be named as custom code: the checks before git hears of one.

git reads URLs as a language with commands in it (`ext::`, `-u…`), so only one plain shape passes.
"""

from __future__ import annotations

import re

from hookline.core.errors import InvalidInput

MAX_URL_CHARS = 1000
_MAX_SHOWN_CHARS = 100

_URL = re.compile(r"https://(?P<host>[^/:]*)(?::(?P<port>[^/]*))?(?P<path>/.*)?")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# The last label begins with a letter: no address in any spelling (127.1, 0x7f000001) does.
_HOST = re.compile(rf"(?:{_LABEL}\.)+[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?")
_MAX_HOST_CHARS = 253
# %20 is the one escape that hosts of repositories use in their addresses.
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))(?:[A-Za-z0-9._~+-]|%20)+)+/?")
_FIRST_OPEN_PORT, _LAST_PORT = 1024, 65_535  # below: mail, logins and the like, but for 443
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,99}")


def check_custom_code(url: str, commit: str) -> None:
    """Raise InvalidInput for anything but plain https, and a commit, branch, tag or nothing."""
    why = _url_fault(url)
    if why:
        raise InvalidInput(
            f"The URL of the custom code is refused{_shown(url)}.",
            why=why,
            hint="Give one like https://github.com/owner/name.git, readable by anyone.",
        )
    if commit and (not _REF.fullmatch(commit) or ".." in commit):
        raise InvalidInput(
            f"The commit of the custom code is refused: {commit[:_MAX_SHOWN_CHARS]!r}.",
            why="It is no name that git would give to a commit, a branch or a tag.",
            hint="Give the 40 digits of a commit, or the name of a branch or tag.",
        )


def _url_fault(url: str) -> str:
    if len(url) > MAX_URL_CHARS:
        return f"It has more than {MAX_URL_CHARS} characters."
    if "@" in url:
        return "It holds a user name or password, which would be stored and shown."
    found = _URL.fullmatch(url)
    if found is None:
        return "Only https:// is fetched."
    path = found["path"] or ""
    return _host_fault(found["host"]) or _port_fault(found["port"]) or _path_fault(path)


def _host_fault(host: str) -> str:
    if _HOST.fullmatch(host) and len(host) <= _MAX_HOST_CHARS:
        return ""
    return "Its host is not the full name of a machine, such as github.com."


def _port_fault(port: str | None) -> str:
    if port is None or port == "443":
        return ""
    is_number = re.fullmatch(r"[1-9][0-9]{3,4}", port) is not None
    if is_number and _FIRST_OPEN_PORT <= int(port) <= _LAST_PORT:
        return ""
    return f"Its port is neither 443 nor one from {_FIRST_OPEN_PORT} to {_LAST_PORT}."


def _path_fault(path: str) -> str:
    if _PATH.fullmatch(path):
        return ""
    return "Its path is missing or has characters that the path of a repository has not."


def _shown(url: str) -> str:
    """A refused URL may hold a password."""
    return "" if "@" in url else f": {url[:_MAX_SHOWN_CHARS]!r}"
