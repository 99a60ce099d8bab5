"""Owns where to find the programs that tests run and that PyPI does not have."""

import os
import shutil
from functools import cache

import pytest

from tests.support.processes import ROOT


@cache
def program(name: str) -> str:
    """The path of a system program. If it is missing, the test is skipped; in CI it fails."""
    # Debian keeps servers in directories that only root's PATH has; .tools holds a program unpacked from its package.
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:{ROOT / '.tools'}")
    if path is None:
        assert not os.environ.get("CI"), f"{name} is not installed; `make programs` as root installs it"
        pytest.skip(f"{name} is not installed; `make programs` as root installs it")
    return path
