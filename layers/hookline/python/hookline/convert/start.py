"""Runs a step with the packages of an isolated environment: `start.py SITE PACKAGE JOB`.

Started by path with `-I -S`, so nothing of this machine's own packages is seen before SITE.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(argv: list[str]) -> int:
    """Do the job; return its exit status."""
    site, package, job = argv
    sys.path.insert(0, site)
    sys.path.append(package)
    from hookline.convert.job import read_job, work  # noqa: PLC0415 - only now it can be found

    return work(read_job(Path(job)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
