"""Runs one step of a conversion where it can hurt nobody: a process of its own, in the sandbox.

It sees the model, a folder to write into and the packages it runs on; no network, no home, nothing
of the platform. Its time and memory are limited.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hookline.adapters.machine.steps import run_module
from hookline.convert.job import Job, Result, read_result, write_job
from hookline.convert.process import StepSpec
from hookline.core.errors import DeadlineExceeded, InvalidModel
from hookline.runtime.spec import SandboxSpec

TIMEOUT_S = 900.0
MAX_MEMORY_BYTES = 16 * 1024**3
_SHARE_OF_MEMORY = 0.8
_SHOWN_LINES, _SHOWN_CHARS = 3, 300


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how steps run. `hidden` folders are the platform's and the user's own."""

    sandbox: str
    hidden: tuple[Path, ...]
    timeout_s: float = TIMEOUT_S
    max_memory_bytes: int = MAX_MEMORY_BYTES

    def run(self, job: Job, *shown: Path, site: Path | None = None, python: str = "") -> Result:
        """Do `job`, which may read `shown`, with the packages of `site`. Raise what stops it."""
        folder = Path(job.folder)
        write_job(job, folder / "job.json")
        spec = StepSpec(
            job=str(folder / "job.json"),
            sandbox=self._sandbox(folder, [*shown, *([site] if site else [])], python),
            parent_pid=os.getpid(),
            command=_command(folder, site, python) if site else (),
        )
        (folder / "step.json").write_bytes(msgspec.json.encode(spec))
        try:
            end = run_module(
                "hookline.convert.process",
                str(folder / "step.json"),
                folder,
                timeout_s=self.timeout_s,
            )
        except DeadlineExceeded as error:
            raise DeadlineExceeded(
                f"Reading the model took longer than {self.timeout_s:,.0f} s.",
                hint="Convert it to ONNX yourself and import that, or use a faster machine.",
            ) from error
        try:
            return read_result(folder)
        except FileNotFoundError:
            raise self._broken(folder, end) from None

    def _sandbox(self, folder: Path, shown: list[Path], python: str) -> SandboxSpec:
        base = [Path(python).resolve().parents[1]] if python else []
        return SandboxSpec(
            mode=self.sandbox,  # type: ignore[arg-type]  # core.config allows just these words
            hide=tuple(str(path) for path in self.hidden if path.is_dir()),
            show=tuple(str(path.resolve()) for path in [*shown, *base]),
            writable=(str(folder),),
            max_memory_bytes=min(self.max_memory_bytes, int(_SHARE_OF_MEMORY * _memory_bytes())),
            has_network=False,
        )

    def _broken(self, folder: Path, end: str) -> InvalidModel:
        text = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")
        lines = [line.strip()[:_SHOWN_CHARS] for line in text.splitlines() if line.strip()]
        last = " ".join(lines[-_SHOWN_LINES:])
        gib = self.max_memory_bytes / 1024**3
        return InvalidModel(
            f"The process that read the model {end or 'said nothing'}.",
            why=f"Its last words: {last}" if last else "",
            hint=f"The file may be damaged, or need more than {gib:,.1f} GiB of memory.",
        )


def _command(folder: Path, site: Path, python: str) -> tuple[str, ...]:
    """A Python that sees `site` and the standard library, and hookline's own modules last."""
    package = Path(__file__).parents[2]
    start = Path(__file__).with_name("start.py")
    interpreter = python or os.path.realpath(sys.executable)
    job = folder / "job.json"
    return (interpreter, "-I", "-S", str(start), str(site), str(package), str(job))


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
