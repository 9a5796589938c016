"""Says how large an assembly is: the resources of each stack, and the assets that it uploads."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

MAX_RESOURCES = 500  # of a stack (CloudFormation)


def resources(assembly: Path) -> dict[str, Counter[str]]:
    """By stack: how many resources of each type it has."""
    return {
        path.name.removesuffix(".template.json"): Counter(
            made["Type"] for made in json.loads(path.read_text())["Resources"].values()
        )
        for path in sorted(assembly.glob("*.template.json"))
    }


def asset_bytes(assembly: Path) -> list[int]:
    """What each folder that is uploaded has in it, the largest first."""
    folders = [path for path in assembly.glob("asset.*") if path.is_dir()]
    sizes = (
        sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        for folder in folders
    )
    return sorted(sizes, reverse=True)


def report(assembly: Path) -> list[str]:
    """A line per stack, the total, and the assets."""
    found = resources(assembly)
    lines = [_line(name, kinds) for name, kinds in found.items()]
    total = sum(kinds.total() for kinds in found.values())
    sizes = asset_bytes(assembly)
    layer = f", the layer {sizes[0] / 1e6:.1f} MB" if sizes else ""
    return [
        *lines,
        f"{total:5d}  resources in {len(found)} stacks; a stack may have {MAX_RESOURCES}",
        f"{len(sizes):5d}  assets{layer}",
    ]


def _line(name: str, kinds: Counter[str]) -> str:
    most = ", ".join(f"{count} {kind.rpartition('::')[2]}" for kind, count in kinds.most_common(3))
    return f"{kinds.total():5d}  {name}  ({most}, …)"


if __name__ == "__main__":
    sys.stdout.write("\n".join(report(Path(sys.argv[1]))) + "\n")
