"""Owns how a test blocks the event loop of a process of ours: `sitecustomize.py` beside this file."""

from pathlib import Path
from typing import Final

BLOCKED_S: Final = 2.5

ENVIRON: Final = {"PYTHONPATH": str(Path(__file__).parent), "CHAOS_BLOCKED_S": str(BLOCKED_S)}
"""For the process that blocks on SIGUSR1. The directory is its own, so that Python imports nothing else from it."""
