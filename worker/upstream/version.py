"""Owns what we call ourselves to providers."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _version() -> str:
    try:
        return version("outlive")
    except PackageNotFoundError:
        # A checkout that was never installed.
        return "0"


USER_AGENT: Final = f"outlive/{_version()}"
