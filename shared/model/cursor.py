"""Owns the cursor: the position of one event in a log, `<epoch>-<seq>`.

Pure: no I/O, no clock. A cursor is both the Redis Stream entry id and the SSE `id` (PROTOCOL.md, R1). It does not know
whether it *is in* a log; `LogReader.has` does.
"""

import re
from typing import Final, NamedTuple, Self

from outlive.shared.errors import MalformedCursor

# Redis entry ids are two unsigned 64-bit numbers. Redis is less strict than we are: it accepts `$` (skips everything),
# leading zeros and surrounding space, and each would break "same id, same event".
_PART = r"(0|[1-9][0-9]{0,19})"
_CURSOR: Final = re.compile(rf"{_PART}-{_PART}", re.ASCII)
_LIMIT: Final = 2**64
_MAX_CHARS: Final = 41

# Clients that mean "from the start" send nothing, or zero as their library writes it.
_START: Final = frozenset({"", "-1", "0", "0-0"})


class Cursor(NamedTuple):
    """The id of one event. Orders as Redis orders entries: by epoch, then by seq."""

    epoch: int
    seq: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<epoch>-<seq>` strictly. Raises `MalformedCursor`."""
        match = _CURSOR.fullmatch(text) if len(text) <= _MAX_CHARS else None
        if match is None:
            raise MalformedCursor
        epoch, seq = int(match[1]), int(match[2])
        if epoch >= _LIMIT or seq >= _LIMIT:
            raise MalformedCursor
        return cls(epoch, seq)

    @classmethod
    def parse_resume(cls, text: str | None) -> Self:
        """Read the last event id that a viewer sent; `START` when it means the beginning. Raises `MalformedCursor`."""
        if text is None or text in _START:
            return cls(0, 0)
        return cls.parse(text)

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"


START: Final = Cursor(0, 0)
"""Before the first event of every log: real epochs are milliseconds since 1970."""
