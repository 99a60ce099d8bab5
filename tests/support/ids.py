"""Owns ids for tests that need one and do not care which."""

import time

from outlive.shared.model.generation import new_id


def fresh_id() -> str:
    """A generation's id, new with every call."""
    return new_id(time.time_ns() // 1_000_000)
