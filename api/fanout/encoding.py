"""Owns telling a feed on one more wire, from the log's first event on.

A feed may have let go of its first events by then; a wire that must know them reads them again.
"""

from typing import Final

from outlive.api.fanout.encoded_window import EncodedWindow
from outlive.api.fanout.feed import Feed
from outlive.api.formats.format import Format, Head
from outlive.shared.errors import GenerationGone
from outlive.shared.log.reader import LogReader
from outlive.shared.model.cursor import START

_NOTHING: Final = Head(b"{}", b"{}")


async def render(feed: Feed, wire: Format, reader: LogReader) -> None:
    """After this the feed has the wire. Raises `GenerationGone`, `LogUnavailable`."""
    if wire in feed.renditions:
        return
    if wire.is_stateless:
        feed.render(EncodedWindow(wire, _NOTHING))
        return
    async with feed.rendering:
        if wire not in feed.renditions:
            feed.render(await _from_the_first(feed, wire, reader))


async def _from_the_first(feed: Feed, wire: Format, reader: LogReader) -> EncodedWindow:
    head = Head(*await reader.asked(feed.generation_id))
    rendition, cursor, skipped, incarnation = EncodedWindow(wire, head), START, 0, feed.incarnation
    # The feed may let go of more while this reads, or turn out to be of another log.
    while skipped < feed.first or incarnation != feed.incarnation:
        if incarnation != feed.incarnation:
            rendition, cursor, skipped, incarnation = EncodedWindow(wire, head), START, 0, feed.incarnation
            continue
        page = await reader.page(feed.generation_id, cursor)
        if not page:
            raise GenerationGone
        for event in page[: feed.first - skipped]:
            rendition.skip(event)
            cursor, skipped = event.cursor, skipped + 1
    return rendition
