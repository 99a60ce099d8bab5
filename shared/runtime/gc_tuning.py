"""Owns how often this process looks for garbage that counting references does not find.

Python looks after every 700 new objects that may hold others, as an event and its cursor do, and
goes through all that lives whenever it has grown by a quarter. With 25,000 events a second through
500 feeds that was two fifths of an API process's CPU, and pauses of 100 ms for all its viewers; and
it found nothing, because events hold nothing that holds them.
"""

import gc
from typing import Final

_NEW_OBJECTS: Final = 50_000
"""One second of the load above; a look at so many takes a few milliseconds."""


def look_seldom() -> None:
    """Call once, when all that lives as long as the process is there: it is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
