"""Owns how long a busy publisher lets tokens gather before its next flush.

A flush costs per attempt, hardly per byte: 100 attempts at 50 tokens/s take a third less CPU with these pauses, in the
worker and in Redis.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlushPacing:
    """`shared/runtime/pacing.py` decides with these whether the process is busy enough to pause."""

    rest_each_s: float = 0.000_09
    """The longest pause, for each attempt that the flush was over."""
    max_round_s: float = 0.065
    """The longest time from one flush to the next that pauses may bring about."""
