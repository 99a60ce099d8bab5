"""Owns the worker as a process: its settings, its event loop, and where it finds its user's modules."""

import os
import sys
from collections.abc import Mapping

import uvloop

from outlive.shared.settings import load
from outlive.shared.telemetry import logs
from outlive.worker import main


def run(environ: Mapping[str, str]) -> None:
    """Work until SIGTERM or SIGINT. Raises `SettingsError` and `UnfitRedis`."""
    settings = load(environ)
    logs.configure("worker", settings.log_format)
    find_modules_here()
    uvloop.run(main.run(settings, environ))


def find_modules_here() -> None:
    """Let OUTLIVE_TOOLS name a module in the current folder. The folder comes last, so that nothing in
    it can take the place of a library or of a part of Outlive."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
