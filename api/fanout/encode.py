"""Owns encoding a feed's log in one more format, from the log's first event on.

A feed may have dropped the first events by then; a format that depends on them is given them from the log again.
"""

from typing import Final

from outlive.api.fanout.encoded_window import EncodedWindow
from outlive.api.fanout.feed import Feed
from outlive.api.fanout.open_feed import OpenFeed
from outlive.api.formats.format import Format, Head
from outlive.shared.errors import GenerationGone
from outlive.shared.log.reader import LogReader
from outlive.shared.model.cursor import START

_NO_HEAD: Final = Head(b"{}", b"{}")
"""Stateless formats need none."""


async def encode(opened: OpenFeed, format_: Format, reader: LogReader) -> None:
    """After this the feed has a window of the format. Raises `GenerationGone`, `LogUnavailable`."""
    feed = opened.feed
    if format_ in feed.windows:
        return
    if format_.is_stateless:
        feed.add_window(EncodedWindow(format_, _NO_HEAD, before=feed.before))
        return
    async with opened.encoding:
        if format_ not in feed.windows:
            feed.add_window(await _from_first_event(feed, format_, reader))


async def _from_first_event(feed: Feed, format_: Format, reader: LogReader) -> EncodedWindow:
    head = Head(*await reader.asked(feed.generation_id))
    window, cursor, skipped, incarnation = EncodedWindow(format_, head), START, 0, feed.incarnation
    # The feed may drop more events while this reads, or its log turn out to be another one.
    while skipped < feed.first or incarnation != feed.incarnation:
        if incarnation != feed.incarnation:
            window, cursor, skipped, incarnation = EncodedWindow(format_, head), START, 0, feed.incarnation
            continue
        page = await reader.page(feed.generation_id, cursor)
        if not page:
            raise GenerationGone
        for event in page[: feed.first - skipped]:
            window.skip(event)
            cursor, skipped = event.cursor, skipped + 1
    return window
