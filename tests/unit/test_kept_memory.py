"""What is kept for as long as an answer runs holds little more than its bytes.

Each case runs in a process of its own, because only a fresh process shows what it holds: what others freed before does
not hide it. `python -m tests.unit.test_kept_memory outbox` prints the figure of one.
"""

import gc
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from outlive.api.fanout.encoded_window import EncodedWindow
from outlive.api.fanout.feed import Feed
from outlive.api.formats.format import Head
from outlive.api.formats.native import UNFOLDED
from outlive.api.wires.chat.chat_format import CHAT
from outlive.shared.log.reader import Logged
from outlive.shared.log.replies import ReplyCode, TakeReply
from outlive.shared.model.codec import encode
from outlive.shared.model.cursor import Cursor
from outlive.shared.model.events import EventType, Token
from outlive.worker.publishing.outbox import Outbox, OutboxLimits

EVENTS: Final = 10_000
_PAGE_BYTES: Final = 4096
_UNBOUNDED: Final = 2**30
_EPOCH: Final = 1_795_330_013_452


def _kept_in_an_outbox() -> object:
    limits = OutboxLimits(unflushed_events=_UNBOUNDED, max_event_bytes=16_384, max_output_bytes=_UNBOUNDED)
    outbox = Outbox("gen_x", TakeReply(ReplyCode.OK, epoch=_EPOCH, attempt=1, counted=1), limits)
    for n in range(EVENTS):
        outbox.add(Token(f"a token, number {n:05}"))
        outbox.next_batch()
        outbox.acknowledge(n + 1)
    return outbox


def _kept_in_a_feed() -> object:
    """In two formats."""
    feed = Feed("gen_x", limit_bytes=_UNBOUNDED)
    for format_ in (UNFOLDED, CHAT):
        feed.add_window(EncodedWindow(format_, Head(b'{"id":"gen_x","model":"m","created_at":1}', b"{}")))
    feed.extend([Logged(Cursor(_EPOCH, 0), b"attempt", b'{"attempt":1,"reason":"started"}')])
    for n in range(EVENTS):
        data = encode(Token(f"a token, number {n:05}"))
        feed.extend([Logged(Cursor(_EPOCH, n + 1), EventType.TOKEN.value.encode(), data)])
    return feed


_CASES: Final[Mapping[str, Callable[[], object]]] = {"outbox": _kept_in_an_outbox, "feed": _kept_in_a_feed}


@pytest.mark.rule("R80")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of a process as Linux shows it")
@pytest.mark.parametrize(("case", "max_bytes"), [("outbox", 1_000), ("feed", 2_500)])
def test_an_event_that_is_kept_holds_little_more_than_its_text(case: str, max_bytes: int) -> None:
    """A serialiser's result holds 4 kB if nobody copies it."""
    command = [sys.executable, "-m", __name__, case]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert 0 < int(printed) < max_bytes


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


if __name__ == "__main__":
    gc.collect()
    before = _resident_bytes()
    kept = _CASES[sys.argv[1]]()
    gc.collect()
    print((_resident_bytes() - before) // EVENTS)
