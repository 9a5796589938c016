"""Load the user's inference.py, and find the hooks in it."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from hookline.core.archives import HOOK_FILE
from hookline.core.errors import HookFailed
from hookline.runtime import telemetry
from hookline.runtime.artifacts import find_hooks
from hookline.runtime.guard import CODE_DIR_VARIABLE, Guard
from hookline.runtime.hooks import PARAMETERS, Hooks, seed_hooks
from hookline.runtime.sagemaker import is_sagemaker, sagemaker_hooks

log = logging.getLogger(__name__)
_MODULE = Path(HOOK_FILE).stem


def load_hooks(code_dir: str, site_dirs: Sequence[str] = ()) -> Hooks:
    """Import `code_dir`/inference.py, once per process, and return its hooks.

    The process then works in `code_dir`, imports from it first, and names it in HOOKLINE_CODE_DIR.
    Raise HookFailed with the user's own traceback lines.
    """
    path = find_hooks(Path(code_dir))
    if path is None:
        raise HookFailed(
            f"The bundle has no {HOOK_FILE}.", hint=f"Write the hooks as functions of {HOOK_FILE}."
        )
    _enter(code_dir, site_dirs)
    module = _imported(path, Guard(code_dir))
    if not is_sagemaker(module):
        return seed_hooks(module)
    unused = [name for name in PARAMETERS if callable(getattr(module, name, None))]
    if unused:
        log.warning("hooks_ignored", extra={"hooks": unused, "reason": "SageMaker's names win"})
    return sagemaker_hooks(module)


def _enter(code_dir: str, site_dirs: Sequence[str]) -> None:
    os.environ[CODE_DIR_VARIABLE] = code_dir
    os.environ.update(telemetry.OFF)  # a hook may load it before we do
    os.chdir(code_dir)
    sys.path[:0] = [code_dir, *site_dirs]


def _imported(path: Path, guard: Guard) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None:
        raise HookFailed(f"{HOOK_FILE} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # pickles and dataclasses look their module up
    try:
        _execute(spec, module)
    except BaseException as error:  # a user's import may even call sys.exit
        raise guard.failed(f"{HOOK_FILE} failed to import.", error) from error
    return module


def _execute(spec: ModuleSpec, module: ModuleType) -> None:
    if spec.loader is not None:
        spec.loader.exec_module(module)
