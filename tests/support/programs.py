"""Owns where the system's programs are that tests run but Python's registry does not have."""

import os
import shutil
from functools import cache

import pytest

from tests.support.processes import ROOT


@cache
def program(name: str) -> str:
    """Where a program of the system is. Without it the test is skipped, but never in CI."""
    # Debian keeps servers where only root looks by default; one program is taken out of its package.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:{ROOT / '.tools'}")
    if found is None:
        assert not os.environ.get("CI"), f"{name} is not installed; `make programs` as root installs it"
        pytest.skip(f"{name} is not installed; `make programs` as root installs it")
    return found
