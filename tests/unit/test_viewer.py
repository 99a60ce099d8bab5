"""A viewer's life, state by state: what it writes in each, what may follow, and what may not."""

import asyncio
from collections.abc import Callable

import pytest

from outlive.api.fanout.ending import Ending
from outlive.api.fanout.viewer import Viewer
from outlive.api.fanout.viewer_state import MAY_FOLLOW, State
from outlive.api.formats.native import UNFOLDED
from outlive.api.wires.chat.chat_format import CHAT
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import Completed, Usage
from tests.support.fanout import EPOCH, FAREWELL, Logs, Screen, event, events, feed_of, viewer_of

pytestmark = pytest.mark.anyio

TERMINAL = Completed("stop", Usage(1, 2, 3), 9, 4)
SMALL_BYTES = 1_000


async def _pages() -> None:
    """Lets the page that was requested be read."""
    for _ in range(5):
        await asyncio.sleep(0)


def _below_window(count: int = 40, seen: int = 0) -> tuple[Viewer, Screen, Logs]:
    """A viewer whose position the window has passed."""
    logs, screen = Logs(events(count)), Screen()
    feed = feed_of(events(count), limit_bytes=SMALL_BYTES)
    assert feed.first > seen + 1
    viewer = viewer_of(feed, screen, logs=logs)
    viewer.join(Cursor(EPOCH, seen), 0)
    return viewer, screen, logs


async def test_a_joining_viewer_is_written_nothing() -> None:
    """It is not known from where."""
    screen = Screen()
    viewer = viewer_of(feed_of(events(3)), screen)
    viewer.advance()
    viewer.tick()
    viewer.tick()
    viewer.leave()
    assert (viewer.state, screen.writes) == (State.JOINING, [])


async def test_a_live_viewer_is_sent_what_follows_its_point_and_then_what_comes() -> None:
    """In one write each."""
    screen = Screen()
    feed = feed_of(events(3))
    viewer = viewer_of(feed, screen, after=Cursor(EPOCH, 0))
    viewer.advance()
    feed.extend([event(3)])
    viewer.advance()
    viewer.advance()
    assert (viewer.state, screen.seqs, len(screen.writes)) == (State.LIVE, [1, 2, 3], 2)


async def test_a_rest_of_an_event_comes_first() -> None:
    """The viewer had seen part of an event's frames."""
    screen = Screen()
    viewer = viewer_of(feed_of(events(2)), screen)
    viewer.join(Cursor(EPOCH, 0), 1, b"data: {}\n\n")
    viewer.advance()
    assert screen.shown.startswith(b"data: {}\n\nid: 7-1")


async def test_a_viewer_whose_sink_is_full_stays_behind_until_there_is_room() -> None:
    """Nothing is queued: what came meanwhile is one write."""
    screen = Screen()
    feed = feed_of(events(1))
    viewer = viewer_of(feed, screen, after=START)
    screen.is_full = True
    viewer.advance()
    feed.extend([event(1)])
    viewer.advance()
    assert screen.writes == []
    screen.drain()
    assert (screen.seqs, len(screen.writes)) == ([0, 1], 1)


async def test_a_terminal_ends_the_viewer() -> None:
    """With a clean end and no farewell."""
    screen = Screen()
    viewer = viewer_of(feed_of([*events(2), event(2, TERMINAL)]), screen, after=START)
    viewer.advance()
    assert (viewer.state, viewer.outcome) == (State.ENDED, Ending.TERMINAL)
    assert screen.ended
    assert FAREWELL not in screen.shown


@pytest.mark.parametrize("ending", [Ending.GONE, Ending.AWAY])
async def test_a_feed_that_ends_without_a_terminal_says_farewell(ending: Ending) -> None:
    """So that the viewer comes back."""
    screen = Screen()
    feed = feed_of(events(1))
    viewer = viewer_of(feed, screen, after=START)
    feed.close(ending)
    viewer.advance()
    assert (viewer.outcome, screen.writes[-1], screen.ended) == (ending, FAREWELL, True)


async def test_a_position_below_the_window_is_read_from_the_log_until_the_window_has_it() -> None:
    """LIVE, PAGING, LIVE: nothing twice, nothing missing."""
    viewer, screen, _ = _below_window()
    viewer.advance()
    assert viewer.state is State.PAGING
    await _pages()
    assert (viewer.state, screen.seqs) == (State.LIVE, list(range(1, 40)))
    viewer.feed.extend([event(40)])
    viewer.advance()
    assert screen.seqs[-2:] == [39, 40]


async def test_a_paging_viewer_waits_for_its_page() -> None:
    """Neither new events nor heartbeats overtake it."""
    viewer, screen, _ = _below_window()
    viewer.advance()
    viewer.feed.extend([event(40)])
    viewer.advance()
    viewer.tick()
    viewer.tick()
    assert (viewer.state, screen.writes) == (State.PAGING, [])


async def test_a_page_that_is_ahead_of_the_feed_is_not_sent_again() -> None:
    """The log may be further than the feed: the viewer waits until the feed has caught up."""
    viewer, screen, logs = _below_window()
    logs.logs["gen_0123456789abcdef0123456789abcdef"] += [event(40), event(41)]
    viewer.advance()
    await _pages()
    assert (viewer.state, screen.seqs[-1]) == (State.LIVE, 41)
    viewer.feed.extend([event(40), event(41), event(42)])
    viewer.advance()
    assert screen.seqs == list(range(1, 43))


async def test_a_log_that_is_gone_while_paging_ends_the_viewer() -> None:
    """Its retention has passed: the viewer comes back and learns it."""
    viewer, screen, logs = _below_window()
    logs.logs.clear()
    viewer.advance()
    await _pages()
    assert (viewer.state, viewer.outcome, screen.writes) == (State.ENDED, Ending.GONE, [FAREWELL])


async def test_a_redis_that_is_away_while_paging_sends_the_viewer_away() -> None:
    """Another replica may reach it."""
    viewer, screen, logs = _below_window()
    logs.is_away = True
    viewer.advance()
    await _pages()
    assert (viewer.state, viewer.outcome, screen.writes) == (State.ENDED, Ending.AWAY, [FAREWELL])


async def test_a_page_of_another_incarnation_is_dropped() -> None:
    """The feed was restarted while the page was read: reset, then everything."""
    viewer, screen, _ = _below_window()
    viewer.advance()
    viewer.feed.restart()
    viewer.feed.extend(events(2))
    await _pages()
    assert (screen.kinds, screen.seqs) == (["reset", "token", "token"], [0, 1])


async def test_a_restarted_feed_resets_its_viewers() -> None:
    """They get a `reset`, and then everything from the start."""
    screen = Screen()
    feed = feed_of(events(2))
    viewer = viewer_of(feed, screen, after=START)
    viewer.advance()
    feed.restart()
    feed.extend(events(1))
    viewer.advance()
    assert screen.kinds == ["token", "token", "reset", "token"]


async def test_a_format_without_reset_ends_instead() -> None:
    """With its own last words."""
    screen = Screen()
    viewer = viewer_of(feed_of(format_=CHAT), screen, format_=CHAT)
    viewer.reset("unknown_cursor")
    assert viewer.state is State.LEAVING
    viewer.advance()
    assert (viewer.state, screen.frames[-1].data["error"]["code"]) == (State.ENDED, "unknown_cursor")


async def test_a_viewer_that_leaves_is_ended_when_its_sink_has_room() -> None:
    """The farewell waits for the sink, and nothing else is written meanwhile."""
    screen = Screen()
    feed = feed_of(events(1))
    viewer = viewer_of(feed, screen, after=START)
    viewer.advance()
    screen.is_full = True
    viewer.leave()
    feed.extend([event(1)])
    viewer.advance()
    assert (viewer.state, screen.seqs) == (State.LEAVING, [0])
    screen.drain()
    assert (viewer.state, viewer.outcome, screen.writes[-1]) == (State.ENDED, Ending.DRAINED, FAREWELL)
    assert screen.seqs == [0]


async def test_a_quiet_viewer_gets_a_heartbeat_at_the_second_tick() -> None:
    """A write in between counts as a sign of life."""
    screen = Screen()
    feed = feed_of()
    viewer = viewer_of(feed, screen, after=START)
    viewer.tick()
    feed.extend([event(0)])
    viewer.advance()
    viewer.tick()
    assert UNFOLDED.heartbeat not in screen.shown
    viewer.tick()
    assert screen.writes[-1] == UNFOLDED.heartbeat


async def test_a_viewer_whose_sink_is_full_gets_no_heartbeat() -> None:
    """What waits there is a sign of life as well."""
    screen = Screen()
    viewer = viewer_of(feed_of(), screen, after=START)
    screen.is_full = True
    viewer.tick()
    viewer.tick()
    screen.drain()
    assert screen.writes == []


async def test_a_write_that_fails_ends_this_viewer_alone() -> None:
    """Nothing is raised into the queue of all viewers."""
    screen = Screen()
    screen.error = RuntimeError("the response is over")
    viewer = viewer_of(feed_of(events(1)), screen, after=START)
    viewer.advance()
    assert (viewer.state, viewer.outcome) == (State.ENDED, Ending.BROKEN)


async def test_a_viewer_that_is_cut_is_ended_when_its_connection_is_lost() -> None:
    """Until then it counts as one that did not get everything."""
    screen = Screen()
    viewer = viewer_of(feed_of(), screen, after=START)
    viewer.cut(Ending.STALLED)
    assert screen.is_cut
    assert not viewer.ended
    viewer.detach()
    assert (viewer.state, viewer.outcome) == (State.ENDED, Ending.STALLED)


async def test_a_connection_that_the_kernel_gave_up_counts_as_stalled() -> None:
    """All others left."""
    viewers = [viewer_of(feed_of(), Screen(), after=START) for _ in range(2)]
    viewers[0].detach(has_stalled=True)
    viewers[1].detach()
    assert [viewer.outcome for viewer in viewers] == [Ending.STALLED, Ending.LEFT]


def _in(state: State) -> Viewer:
    viewer, _, _ = _below_window()
    if state is State.JOINING:
        return viewer_of(feed_of(), Screen())
    if state is State.LIVE:
        return viewer_of(feed_of(), Screen(), after=START)
    if state is State.PAGING:
        viewer.advance()
    elif state is State.LEAVING:
        viewer.sink.is_full = True
        viewer.leave()
    elif state is State.ENDED:
        viewer.detach()
    return viewer


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("then", State)
async def test_only_the_table_says_what_may_follow(state: State, then: State) -> None:
    """Anything else is a mistake of ours, and raised."""
    viewer = _in(state)
    assert viewer.state is state
    if then in MAY_FOLLOW[state]:
        viewer._become(then)
        assert viewer.state is then
    else:
        with pytest.raises(RuntimeError, match=f"{state.value} cannot become {then.value}"):
            viewer._become(then)


@pytest.mark.parametrize(
    "happens",
    [
        Viewer.advance,
        Viewer.tick,
        Viewer.leave,
        Viewer.detach,
        lambda viewer: viewer.take_page(events(1)),
        lambda viewer: viewer.miss_page(RuntimeError()),
    ],
)
async def test_an_ended_viewer_is_left_in_peace(happens: Callable[[Viewer], None]) -> None:
    """Whatever still arrives for it."""
    screen = Screen()
    viewer = viewer_of(feed_of(events(3)), screen, after=START)
    viewer.detach()
    happens(viewer)
    assert (viewer.state, viewer.outcome, screen.writes) == (State.ENDED, Ending.LEFT, [])
