"""Owns the names of all quirks. Pure."""

from typing import Final

from outlive.deploy.demo_model.quirks.calls import CALLS
from outlive.deploy.demo_model.quirks.endings import ENDINGS
from outlive.deploy.demo_model.quirks.failure_bodies import ERROR_BODIES
from outlive.deploy.demo_model.quirks.frames import FRAMES, HEADS
from outlive.deploy.demo_model.quirks.refusals import REFUSALS
from outlive.deploy.demo_model.quirks.shapes import SHAPES
from outlive.deploy.demo_model.quirks.texts import TEXTS
from outlive.deploy.demo_model.quirks.usages import USAGES

CONNECTION: Final = ("redirect", "dies_on_reuse")
"""Quirks of the connection, which `http_app` has itself."""
QUIRKS: Final = tuple(
    dict.fromkeys([*TEXTS, *CALLS, *ENDINGS, *USAGES, *SHAPES, *FRAMES, *HEADS, *REFUSALS, *ERROR_BODIES, *CONNECTION])
)
ALIVE: Final = ("comments", "chunks", "pings", "blanks")
"""Signs of life before the first delta."""
