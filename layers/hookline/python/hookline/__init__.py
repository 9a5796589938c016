"""hookline: an inference cloud you own."""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own brings half of what the command line needs to start
if TYPE_CHECKING:
    from typing import Any

    from hookline.client.client import Client

__version__ = "0.1.0"
__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> Any:
    """Load the client when it is first asked for: `import hookline` stays cheap."""
    if name == "Client":
        from hookline.client.client import Client  # noqa: PLC0415 - lazy is the point

        return Client
    raise AttributeError(f"module 'hookline' has no attribute {name!r}")
