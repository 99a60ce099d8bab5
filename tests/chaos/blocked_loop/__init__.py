"""Owns how a process of ours is made to stand still from inside: `sitecustomize.py` beside this."""

from pathlib import Path
from typing import Final

WEDGED_S: Final = 2.5

ENVIRON: Final = {"PYTHONPATH": str(Path(__file__).parent), "CHAOS_WEDGED_S": str(WEDGED_S)}
"""For the process that shall react to SIGUSR1. Its own directory, so that nothing else is found there."""
