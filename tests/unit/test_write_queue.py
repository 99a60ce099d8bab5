"""Viewers that are behind are written to in turn: all of them, none twice for one thing, none too late."""

import asyncio

import pytest

from outlive.api.fanout.encoded_window import EncodedWindow
from outlive.api.fanout.feed import Feed
from outlive.api.fanout.sink import nobody
from outlive.api.fanout.viewer import Viewer
from outlive.api.fanout.write_queue import WriteQueue
from outlive.api.formats.format import Head
from outlive.api.formats.native import UNFOLDED
from outlive.shared.log.reader import Logged
from outlive.shared.model.codec import encode
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import Token

pytestmark = pytest.mark.anyio

VIEWERS = 1000


class Page:
    """A sink that keeps what it is given, as a browser's page does."""

    def __init__(self) -> None:
        self.is_full = False
        self.on_room = nobody
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def end(self, data: bytes) -> None:
        self.writes.append(data)

    def cut(self) -> None:
        self.is_full = True

    def has_stalled(self, now: float, stall_s: float) -> bool:
        return now < 0 < stall_s


async def _page(_generation: str, _after: Cursor, _count: int) -> list[Logged]:
    raise AssertionError("nobody is below the window")


def _watched() -> tuple[Feed, list[Page]]:
    feed, pages = Feed("gen_x", 1_000_000), [Page() for _ in range(VIEWERS)]
    feed.render(EncodedWindow(UNFOLDED, Head(b"{}", b"{}")))
    for page in pages:
        viewer = Viewer(feed, page, _page, set(), UNFOLDED, b"")
        viewer.place(START, 0)
        feed.viewers.add(viewer)
    return feed, pages


def _say(feed: Feed, seq: int) -> None:
    token = Token(f"{seq}")
    assert feed.extend([Logged(Cursor(7, seq), token.type.encode(), encode(token))])


async def test_what_comes_while_others_are_written_to_goes_into_the_same_write() -> None:
    """Overload becomes larger writes, not more of them; and everybody is given everything."""
    feed, pages = _watched()
    turns = WriteQueue()
    _say(feed, 0)
    turns.add(feed.viewers)
    begun = sum(bool(page.writes) for page in pages)
    assert 0 < begun < VIEWERS
    _say(feed, 1)
    turns.add(feed.viewers)
    assert sum(bool(page.writes) for page in pages) == begun
    running = asyncio.create_task(turns.run())
    while any(page.writes[-1:] == [] or b'"1"' not in page.writes[-1] for page in pages):
        await asyncio.sleep(0)
    running.cancel()
    # Those whose turn had come already were given the second event by itself, the others both at once.
    assert sorted(len(page.writes) for page in pages) == [1] * (VIEWERS - begun) + [2] * begun


async def test_a_few_viewers_are_written_to_before_anything_else_happens() -> None:
    """With little to do nothing waits for another turn of the loop."""
    feed, pages = _watched()
    alone = next(iter(feed.viewers))
    _say(feed, 0)
    WriteQueue().add([alone])
    assert sum(bool(page.writes) for page in pages) == 1
