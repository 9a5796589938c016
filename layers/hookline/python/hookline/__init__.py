"""hookline: an inference cloud you own."""

__version__ = "0.1.0"
__all__ = ["__version__"]
