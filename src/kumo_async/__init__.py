"""Async streaming uploader for the Kumo data plane."""

from ._version import __version__

__all__ = ["__version__"]
