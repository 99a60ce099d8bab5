"""Owns what the log pushes: the messages on a log's channel, which every script that writes an event publishes.

Pure. A message is a hint that usually holds the events themselves; the log stays the truth. The lines of a message:
`publish` in `lua/prelude/helpers.lua`. Whether a message continues what a feed holds: `api/fanout/feed.py`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from outlive.shared.log.reader import Logged
from outlive.shared.model.cursor import START, Cursor

_GONE: Final = b"gone"


class Message(NamedTuple):
    """Events that one script wrote, all of one attempt and without a hole between them."""

    before: Cursor
    """The newest event of the log before these were written."""
    last: Cursor
    """The newest event after that."""
    events: Sequence[Logged]
    """Empty if they are too large for a message, or the log was deleted: then the log must be read."""


UNREADABLE: Final = Message(START, Cursor(2**64 - 1, 2**64 - 1), ())
"""Says nothing but that the log must be read: it was deleted, or the message is not one of ours."""


def parse(payload: bytes) -> Message:
    """Read one message. One that no script of ours wrote is `UNREADABLE`."""
    if payload == _GONE:
        return UNREADABLE
    lines = payload.split(b"\n")
    try:
        before, epoch, seq = _cursor(lines[0]), *_cursor(lines[1])
    except (ValueError, IndexError):
        return UNREADABLE
    if len(lines) == 2:
        return Message(before, Cursor(epoch, seq), ())
    if len(lines) % 2:
        return UNREADABLE
    if len(lines) == 4:
        # Nearly always one event.
        first = Cursor(epoch, seq)
        return Message(before, first, (Logged(first, lines[2], lines[3]),))
    events = [Logged(Cursor(epoch, seq + i), lines[2 + 2 * i], lines[3 + 2 * i]) for i in range(len(lines) // 2 - 1)]
    return Message(before, events[-1].cursor, events)


def _cursor(text: bytes) -> Cursor:
    epoch, _, seq = text.partition(b"-")
    return Cursor(int(epoch), int(seq))
