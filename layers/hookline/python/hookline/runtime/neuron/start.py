"""Starts the process that holds NeuronCores: `start.py SITE PACKAGE FD ARTIFACT`.

Started by path with `-I -S` on the Python of AWS's SDK, whose packages are in SITE; hookline's own
modules are found last.
"""

from __future__ import annotations

import sys


def main(argv: list[str]) -> int:
    """Serve the compiled model; return the exit status."""
    site, package, descriptor, artifact = argv
    sys.path.insert(0, site)
    sys.path.append(package)
    from hookline.runtime.neuron.engine import serve  # noqa: PLC0415 - only now it can be found

    return serve(int(descriptor), artifact)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
