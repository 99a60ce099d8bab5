"""Owns logs written by hand: entries from the events of one attempt after another."""

from collections.abc import Sequence
from typing import Final

from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import encode
from outlive.shared.model.cursor import Cursor
from outlive.shared.model.events import Attempt, Event, Queued, Usage

EPOCH: Final = 1_795_330_013_450
ID: Final = "gen_0123456789abcdef0123456789abcdef"
USAGE: Final = Usage(3, 5, 8)


def log_of(*attempts: Sequence[Event]) -> list[Logged]:
    """`queued`, then each attempt in its own epoch. The last event of the last attempt may close the log."""
    entries = [_entry(EPOCH, 0, Queued(ID, "demo", 1_795_330_013.25))]
    for number, of_attempt in enumerate(attempts, start=1):
        events = [Attempt(number, "started" if number == 1 else "worker_lost"), *of_attempt]
        entries += [_entry(EPOCH + number, seq, event) for seq, event in enumerate(events)]
    return entries


def _entry(epoch: int, seq: int, event: Event) -> Logged:
    return Logged(Cursor(epoch, seq), event.type.value.encode(), encode(event))
