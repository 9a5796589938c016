"""Where AWS's Neuron SDK is: a virtual environment of its own, since it needs other packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hookline.core.errors import Unavailable

HOME = Path("/opt/neuron")  # where the images for Inf1 and Inf2 have it


@dataclass(frozen=True, slots=True)
class Environment:
    """`python` is the interpreter to start, `site` the folder of its packages."""

    python: Path
    site: Path

    @property
    def programs(self) -> Path:
        """The folder of the compiler and the tools."""
        return self.python.parent


def find(home: Path = HOME) -> Environment:
    """The environment at `home`. Raise Unavailable where there is none."""
    python = home / "bin" / "python"
    sites = sorted(home.glob("lib/python3.*/site-packages"))
    if not python.is_file() or not sites:
        raise Unavailable(
            f"AWS's Neuron SDK is not on this machine: there is no {python}.",
            hint="Use the image for inf1 or inf2 (docs/images.md), or make a virtual environment "
            "there with torch-neuron or torch-neuronx of AWS's own index.",
        )
    return Environment(python.absolute(), sites[-1].absolute())
