"""Models and hooks that lie on this machine, laid out for the runtime without a cloud."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from hookline.cli import exits
from hookline.cli.padding import padding
from hookline.cli.preparing import preparation
from hookline.core.archives import HOOK_FILE
from hookline.core.config import Config
from hookline.core.errors import HookCrashed, InvalidBundle, NotFound
from hookline.runtime.artifacts import extract_bundle
from hookline.runtime.lifecycle import kill_me_with_parent
from hookline.runtime.spec import (
    LaunchSpec,
    Padding,
    PipelineSpec,
    Preparation,
    SandboxSpec,
    ServerSpec,
    Tensor,
)

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the flags of run, serve and check ask for."""

    model: str
    hooks: str | None
    given: dict[str, Any]

    @property
    def bundle(self) -> Path | None:
        """The hooks asked for, or those beside the model in its folder."""
        if self.hooks:
            return Path(self.hooks)
        folder = Path(self.model)
        return folder if (folder / HOOK_FILE).is_file() else None


@contextmanager
def launch_spec(
    config: Config, wishes: Wishes, *, server: ServerSpec | None = None, show: Sequence[str] = ()
) -> Iterator[LaunchSpec]:
    """What the runtime needs to know; unpacked hooks live as long as the block.

    `show`: files that hooks may see although they lie in a folder of temporary files.
    Raise NotFound, InvalidModel or InvalidBundle for what is not there or not usable.
    """
    from hookline.cli.importing import described, ready_model  # noqa: PLC0415 - help needs none

    found = ready_model(config, wishes.model, wishes.given)
    with unpacked(wishes.bundle) as code_dir:
        pipeline = PipelineSpec(
            model_path=str(found.path.resolve()),
            format=found.format,  # type: ignore[arg-type]  # the importer knows just these words
            inputs=msgspec.convert(described(found).get("inputs", ()), tuple[Tensor, ...]),
            outputs=msgspec.convert(described(found).get("outputs", ()), tuple[Tensor, ...]),
            labels=found.labels,
            preparation=msgspec.convert(preparation(wishes.given), Preparation),
            code_dir=code_dir,
            site_dirs=(*_site_dirs(config, code_dir), *_backend_dirs(config, found.format)),
            formatter=wishes.given.get("formatter") or "raw",
            formatter_args=wishes.given.get("formatter_args") or {},
            decoder=wishes.given.get("decoder") or "pillow",
            padding=msgspec.convert(padding(wishes.given).get("padding"), Padding | None),
            trace_hooks=config.trace_hooks,
        )
        sandbox = SandboxSpec(
            mode=config.sandbox,  # type: ignore[arg-type]  # core.config allows just these words
            show=tuple(show),
        )
        yield LaunchSpec(
            pipeline=pipeline,
            server=server or ServerSpec(),
            sandbox=sandbox,
            log_level=config.log_level,
        )


@contextmanager
def unpacked(bundle: Path | None) -> Iterator[str]:
    """The folder with the hooks: `bundle` itself, or what is in the file; "" for none."""
    if bundle is None:
        yield ""
    elif bundle.is_dir():
        if not (bundle / HOOK_FILE).is_file():
            raise InvalidBundle(
                f"There is no {HOOK_FILE} in {bundle}.",
                hint="Put the hooks in a file of that name.",
            )
        yield str(bundle.resolve())
    elif bundle.is_file():
        with tempfile.TemporaryDirectory(prefix="hookline-") as scratch:
            code_dir = Path(scratch) / "code"
            with bundle.open("rb") as file:
                extract_bundle(file, bundle.name, code_dir)
            yield str(code_dir)
    else:
        raise NotFound(f"There is no file or folder {bundle}.", hint="Check the path of the hooks.")


def isolated(work: Callable[[], int]) -> int:
    """Do `work` in a child process and answer its exit code; signals reach it once, through us.

    The sandbox is for good: whoever cleans up afterwards must stay outside.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # until there is a child to tell
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)  # Ctrl-C comes to us alone, and we pass it on
        kill_me_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a hook could catch a KeyboardInterrupt
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _work_and_exit(work, told)
    asked: list[int] = []

    def pass_on(number: int, _: object) -> None:
        asked.append(number)
        os.kill(child, number)

    for each in PASSED_ON:
        signal.signal(each, pass_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(told)
    _, status = os.waitpid(child, 0)
    code = _exit_code(
        os.waitstatus_to_exitcode(status), is_expected=bool(asked) or _has_word(heard)
    )
    if code == exits.INTERRUPTED:
        exits.say("Interrupted.")
    return code


def data_stream() -> BinaryIO:
    """Our stdout, for answers alone: what hooks print goes to stderr from now on."""
    data = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return data


def _work_and_exit(work: Callable[[], int], told: int) -> None:
    """Do `work` and end; a byte in `told` says that the exit code is ours, not some hook's."""
    code = exits.OTHER
    try:
        code = work()
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the edge of a process: nothing may pass it
        code = exits.report(error, is_debugging=False)
    finally:
        os.write(told, b".")
        os._exit(code)


def _has_word(heard: int) -> bool:
    os.set_blocking(heard, False)  # a process that a hook left behind may hold the other end
    with os.fdopen(heard, "rb", buffering=0) as pipe:
        return bool(pipe.read(1))


def _exit_code(code: int, *, is_expected: bool) -> int:
    """The exit code of the child. Raise HookCrashed where user code ended it."""
    number = -code if code < 0 else code - 128  # the sandbox tells of a signal as shells do
    if is_expected:
        return code if code >= 0 else 128 + number
    end = f"was killed by {_signal_name(number)}" if number > 0 else f"ended with exit code {code}"
    raise HookCrashed(
        f"The process of the model and its hooks {end}.",
        why="A hook did that, or a library it calls, or the machine ran out of memory.",
        hint="Try one file at a time, and print in the hooks to see how far they come.",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _site_dirs(config: Config, code_dir: str) -> tuple[str, ...]:
    if not (code_dir and (Path(code_dir) / "requirements.txt").is_file()):
        return ()
    from hookline.staging.stage import site_dirs  # noqa: PLC0415 - most bundles need no packages

    found = site_dirs(Path(code_dir), config.home / "cache")
    return tuple(str(path) for path in found)


def _backend_dirs(config: Config, model_format: str) -> tuple[str, ...]:
    from hookline.staging.stage import backend_dirs  # noqa: PLC0415 - as above

    return tuple(str(path) for path in backend_dirs(model_format, config.home / "cache"))
