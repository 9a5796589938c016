"""The edge around user code: whatever a hook raises becomes one error, told in the user's lines."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from hookline.core.errors import HookFailed, HooklineError

CODE_DIR_VARIABLE = "HOOKLINE_CODE_DIR"
_CODE = PurePath("/code")
_MAX_WHY, _MAX_TRACE = 1000, 10_000  # characters: an exception may carry all of its input


@dataclass(frozen=True, slots=True)
class Guard:
    """Calls hooks. `code_dir` tells the user's frames from ours and from the libraries'."""

    code_dir: str = ""

    def attempt(self, name: str, hook: Callable[..., Any], *args: Any) -> Any:
        """The hook's result, or the HooklineError that says how it failed."""
        try:
            return hook(*args)
        except HooklineError as error:  # chosen by the hook, or by a canned one
            return error
        except BaseException as error:  # noqa: BLE001 - sys.exit in a hook must not end a replica
            return self.failed(f"The {name} hook raised {type(error).__name__}.", error)

    def call(self, name: str, hook: Callable[..., Any], *args: Any) -> Any:
        """The hook's result. Raise the HooklineError that says how it failed."""
        result = self.attempt(name, hook, *args)
        if isinstance(result, HooklineError):
            raise result
        return result

    def failed(self, what: str, error: BaseException) -> HookFailed:
        final = "".join(traceback.format_exception_only(error)).rstrip()
        reason = final.splitlines()[-1] if isinstance(error, SyntaxError) else final
        failure = HookFailed(
            what,
            why=self._relative(reason)[:_MAX_WHY],
            hint=self._hint(error),
            trace=self._relative("".join([*self._frames(error), final]))[:_MAX_TRACE],
        )
        failure.__cause__ = error
        return failure

    def _frames(self, error: BaseException) -> list[str]:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if self.code_dir and f.filename.startswith(f"{self.code_dir}/")]
        return traceback.format_list(own)

    def _relative(self, text: str) -> str:
        """Paths as the user knows them: below the bundle, not below our folders."""
        return text.replace(f"{self.code_dir}/", "") if self.code_dir else text

    def _hint(self, error: BaseException) -> str:
        filename = getattr(error, "filename", None)
        is_in_code = isinstance(filename, str) and PurePath(filename).is_relative_to(_CODE)
        is_shown = PurePath(self.code_dir) == _CODE
        if is_shown or not isinstance(error, FileNotFoundError) or not is_in_code:
            return ""
        return (
            "If the bundle has this file, this machine cannot show it at /code: open it below "
            f'os.environ["{CODE_DIR_VARIABLE}"], which is where the bundle lies.'
        )
