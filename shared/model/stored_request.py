"""Owns the bytes that a generation's request is stored as: the JSON itself, or compressed when it is large.

Pure. A JSON object begins with `{`; compressed bytes begin with a mark that no JSON begins with, so every reader can
tell them apart. Both take up to half a second of CPU for 20 MB, most of it without the interpreter's lock: call
them in a thread when `is_slow` says so.
"""

import zlib
from typing import Final

LARGE_BYTES: Final = 262_144
"""A larger request is compressed. Below it, the gain is not worth the CPU."""
MAX_BYTES: Final = 268_435_456
"""A larger request is not compressed, and nothing is inflated beyond it: a few kB can inflate to any size."""

_MARK: Final = b"\x01"
_LEVEL: Final = 1
"""Level 6 takes three to four times as long and gains a few percent more."""


def pack(request: bytes) -> bytes:
    """What to store for this JSON."""
    if not LARGE_BYTES < len(request) <= MAX_BYTES:
        return request
    packed = _MARK + zlib.compress(request, _LEVEL)
    return packed if len(packed) < len(request) else request


def unpack(stored: bytes) -> bytes:
    """The JSON that was stored. Raises `ValueError` for what `pack` has not made."""
    if not stored.startswith(_MARK):
        return stored
    inflater = zlib.decompressobj()
    try:
        request = inflater.decompress(memoryview(stored)[len(_MARK) :], MAX_BYTES)
    except zlib.error as error:
        raise ValueError("the stored request cannot be inflated") from error
    if not inflater.eof or inflater.unused_data:
        raise ValueError("the stored request is cut off, or inflates to more than any request has")
    return request


def is_slow(stored: bytes) -> bool:
    """Whether unpacking and parsing it would hold up an event loop."""
    return stored.startswith(_MARK) or len(stored) > LARGE_BYTES
