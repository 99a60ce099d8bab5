"""Where a viewer goes on: in the window, below it, after a wait for a worker, or at the start after a reset."""

import pytest

from outlive.api.fanout.feed import Feed
from outlive.api.fanout.resume import resume
from outlive.api.fanout.viewer_state import State
from outlive.shared.errors import LogUnavailable
from outlive.shared.model.cursor import START, Cursor
from tests.support.fanout import EPOCH, Clock, Logs, Screen, event, events, feed_of, viewer_of

pytestmark = pytest.mark.anyio

HEAL_S = 4.0


async def _resumed(feed: Feed, after: Cursor, logs: Logs | None = None, clock: Clock | None = None) -> Screen:
    screen = Screen()
    viewer = viewer_of(feed, screen, logs=logs)
    await resume(viewer, after, logs or Logs(), heal_s=HEAL_S, clock=clock or Clock())
    assert viewer.state is State.LIVE
    viewer.advance()
    return screen


async def test_a_point_in_the_window_is_continued_without_asking_redis() -> None:
    """Also the start, while the window holds the whole log."""
    logs = Logs(events(3))
    assert (await _resumed(feed_of(events(3)), Cursor(EPOCH, 0), logs)).seqs == [1, 2]
    assert (await _resumed(feed_of(events(3)), START, logs)).seqs == [0, 1, 2]
    assert logs.reads == 0


@pytest.mark.parametrize("after", [START, Cursor(EPOCH, 3)])
async def test_a_point_below_the_window_that_is_in_the_log_is_read_from_there(after: Cursor) -> None:
    """No reset."""
    logs, screen = Logs(events(40)), Screen()
    viewer = viewer_of(feed_of(events(40), limit_bytes=1_000), screen, logs=logs)
    await resume(viewer, after, logs, heal_s=HEAL_S, clock=Clock())
    viewer.advance()
    assert (viewer.state, screen.writes) == (State.PAGING, [])


@pytest.mark.rule("R8")
async def test_a_point_below_the_window_that_is_not_in_the_log_is_reset() -> None:
    """Of another generation, or of an attempt that never was."""
    screen = Screen()
    viewer = viewer_of(feed_of(events(40), limit_bytes=1_000), screen)
    await resume(viewer, Cursor(EPOCH - 1, 3), Logs(events(40)), heal_s=HEAL_S, clock=Clock())
    assert viewer._preface.startswith(b"event: reset")


@pytest.mark.rule("R8")
async def test_a_point_ahead_of_the_log_is_waited_for() -> None:
    """A failover lost it, and its worker writes it again."""
    feed, clock = feed_of(events(2)), Clock()

    class Healing(Clock):
        async def sleep(self, delay_s: float) -> None:
            await clock.sleep(delay_s)
            feed.extend([event(2), event(3)])

    assert (await _resumed(feed, Cursor(EPOCH, 2), clock=Healing())).seqs == [3]
    assert clock.now - Clock().now < HEAL_S


@pytest.mark.rule("R8")
async def test_a_point_ahead_that_nobody_heals_is_reset() -> None:
    """After the time in which a worker would have written it, and not later."""
    clock = Clock()
    screen = await _resumed(feed_of(events(2)), Cursor(EPOCH, 9), clock=clock)
    assert (screen.kinds[0], screen.seqs) == ("reset", [0, 1])
    assert HEAL_S <= clock.now - Clock().now < HEAL_S + 0.1


@pytest.mark.rule("R8")
async def test_a_point_that_is_healed_below_the_window_is_read_from_there() -> None:
    """A busy log moves on while a viewer waits."""
    log = events(40)
    feed, screen = feed_of(log[:2], limit_bytes=1_000), Screen()

    class Healing(Clock):
        async def sleep(self, delay_s: float) -> None:
            feed.extend(log[2:])

    viewer = viewer_of(feed, screen)
    await resume(viewer, Cursor(EPOCH, 2), Logs(log), heal_s=HEAL_S, clock=Healing())
    viewer.advance()
    assert (viewer.state, screen.writes) == (State.PAGING, [])


@pytest.mark.rule("R8", "R76")
async def test_a_point_that_only_this_process_lacks_sends_its_viewer_away() -> None:
    """The log has it, so a reset would be wrong."""
    viewer = viewer_of(feed_of(events(2)), Screen())
    with pytest.raises(LogUnavailable):
        await resume(viewer, Cursor(EPOCH, 9), Logs(events(10)), heal_s=HEAL_S, clock=Clock())


async def test_a_redis_that_is_away_is_raised() -> None:
    """Whether the point is in the log is not known then."""
    logs = Logs(events(40))
    logs.is_away = True
    viewer = viewer_of(feed_of(events(40), limit_bytes=1_000), Screen(), logs=logs)
    with pytest.raises(LogUnavailable):
        await resume(viewer, Cursor(EPOCH, 3), logs, heal_s=HEAL_S, clock=Clock())
