"""Reads a bundle's requirements.txt, of which it allows one thing: pinned packages.

pip's file format is a language of options, URLs, paths and environment variables, each a way to
make the installer fetch or run something else. Here every line is `name[extras]==version`, perhaps
with a marker and hashes; what `parse` returns is built from the parts it understood.
"""

from __future__ import annotations

import re

from hookline.core.errors import InvalidBundle

MAX_CHARS, MAX_LINES = 256 * 1024, 5000
_MAX_SHOWN_CHARS = 60

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
# The normal form of PEP 440, without wildcards: a pin names one version.
_VERSION = (
    r"(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc)[0-9]+)?(?:\.post[0-9]+)?(?:\.dev[0-9]+)?"
    r"(?:\+[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*)?"
)
_VARIABLE = (
    r"(?:python_version|python_full_version|os_name|sys_platform|platform_machine|platform_system"
    r"|platform_release|platform_version|platform_python_implementation|implementation_name"
    r"|implementation_version)"
)
_TEXT = r"(?:'[A-Za-z0-9 ._+-]*'|\"[A-Za-z0-9 ._+-]*\")"
_CLAIM = rf"{_VARIABLE} *(?:===?|!=|<=?|>=?|~=|in|not +in) *{_TEXT}"
_MARKER = rf"{_CLAIM}(?: +(?:and|or) +{_CLAIM})*"
_HASHES = r"(?: +--hash=sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128}))"
_REQUIREMENT = re.compile(
    rf"(?P<name>{_NAME}) *(?:\[ *(?P<extras>{_NAME}(?: *, *{_NAME})*) *\])? *== *"
    rf"(?P<version>{_VERSION})(?: *; *(?P<marker>{_MARKER}))?(?P<hashes>{_HASHES}*)"
)


def parse(text: str) -> list[str]:
    """The pinned requirements of a requirements.txt, in its order, each in one canonical line.

    Raise InvalidBundle, naming the line, for anything else the file holds.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if len(text) > MAX_CHARS or len(lines) > MAX_LINES:
        raise InvalidBundle(
            f"requirements.txt has {len(lines)} lines and {len(text)} characters.",
            why=f"At most {MAX_LINES} lines and {MAX_CHARS} characters are read.",
        )
    return [_canonical(number, line) for number, line in _logical(lines) if line]


def _logical(lines: list[str]) -> list[tuple[int, str]]:
    """Lines without comments, joined where one ends in a backslash; with their first number."""
    joined: list[tuple[int, str]] = []
    is_open = False
    for number, line in enumerate(lines, 1):
        bare = re.sub(r"(?:^|[ \t])#.*", "", line).replace("\t", " ").strip(" ")
        start, before = joined.pop() if is_open else (number, "")
        is_open = bare.endswith("\\")
        joined.append((start, f"{before} {bare.removesuffix(chr(92)).strip(' ')}".strip(" ")))
    return joined


def _canonical(number: int, line: str) -> str:
    match = _REQUIREMENT.fullmatch(line)
    if match is None:
        shown = line if len(line) <= _MAX_SHOWN_CHARS else line[:_MAX_SHOWN_CHARS] + "…"
        raise InvalidBundle(
            f"requirements.txt line {number} is {shown!r}.",
            why="Only pinned packages are allowed: no options, URLs, paths or version ranges.",
            hint="Write it as name==version, such as `scipy==1.17.1`.",
        )
    extras = re.sub(" +", "", match["extras"] or "")
    return "".join(
        (
            match["name"],
            f"[{extras}]" if extras else "",
            f"=={match['version']}",
            f" ; {match['marker']}" if match["marker"] else "",
            re.sub(" +", " ", match["hashes"]),
        )
    )
