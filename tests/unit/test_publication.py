"""What one attempt may write, how long it waits, and how it learns that it may not any more."""

import asyncio
from collections.abc import Awaitable

import pytest

from outlive.shared.errors import OwnershipLost
from outlive.shared.log.replies import ReplyCode, SeqReply
from outlive.shared.model.events import Completed, Failed, Json, Token, ToolResult, Usage
from outlive.worker.publishing.outbox import OutboxLimits
from tests.support.hand_clock import HandClock
from tests.support.instant_log import InstantLog

pytestmark = pytest.mark.anyio

SMALL = OutboxLimits(unflushed_events=2, max_event_bytes=1024, max_output_bytes=10_000)


def _log(limits: OutboxLimits = SMALL) -> InstantLog:
    return InstantLog(HandClock(), limits=limits)


async def _waits(waiting: Awaitable[None]) -> asyncio.Future[None]:
    """The wait as a task that has begun, and that is not over."""
    task = asyncio.ensure_future(waiting)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


@pytest.mark.rule("R22")
async def test_a_full_publication_waits_for_room_until_the_log_replies() -> None:
    """This wait holds the provider back."""
    log = _log()
    log.hold()
    for text in "ab":
        assert not log.publication.is_full
        log.publication.add(Token(text))
    assert log.publication.is_full
    waiting = await _waits(log.publication.wait_for_room())
    log.release()
    await waiting
    assert log.events == [("token", {"text": "ab"})]


async def test_closing_waits_until_the_log_has_the_last_event() -> None:
    """Only then it is over."""
    log = _log()
    log.hold()
    publication = log.publication
    terminal = Completed("stop", Usage(1, 1, 2), *publication.totals())
    closing = await _waits(publication.close(terminal))
    assert (publication.terminal, publication.is_over, publication.is_closed) == (terminal, False, False)
    log.release()
    await closing
    assert (publication.is_over, publication.is_closed, log.types()) == (True, True, ["completed"])


async def test_totals_count_the_terminal() -> None:
    """And every event before it; the attempt's own is the first."""
    log = _log()
    log.publication.add(Token("日本"))
    log.publication.add_json(Json("output", []))
    log.publication.add(ToolResult("c", "f", "x", None, 1))
    assert log.publication.totals() == (2, 5)


@pytest.mark.rule("R6")
@pytest.mark.parametrize("reply", [ReplyCode.FENCED, ReplyCode.CLOSED, ReplyCode.GONE])
async def test_after_the_log_said_stop_nothing_is_added_and_nothing_waits(reply: ReplyCode) -> None:
    """Whoever waits learns it, and so does whoever adds."""
    log = _log()
    log.hold()
    publication = log.publication
    publication.add(Token("a"))
    publication.add(Token("b"))
    waiting = [await _waits(publication.wait_for_room()), await _waits(publication.wait_until_acknowledged())]
    assert publication.on_reply(SeqReply(reply))
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(end) for end in ends] == [OwnershipLost, OwnershipLost]
    assert (publication.lost.is_set(), publication.reply) == (True, reply)
    assert publication.is_closed == (reply is not ReplyCode.FENCED)
    with pytest.raises(OwnershipLost):
        publication.add(Token("c"))
    with pytest.raises(OwnershipLost):
        publication.add_json(Json("output", []))
    with pytest.raises(OwnershipLost):
        publication.end(Failed("internal", "x", False, Usage(0, 0, 0), 0, 0))


async def test_closed_is_no_loss_once_our_own_end_is_in_the_log() -> None:
    """A renewal of an attempt that is over hears it."""
    log = _log()
    publication = log.publication
    await publication.close(Completed("stop", Usage(1, 1, 2), *publication.totals()))
    assert publication.on_reply(SeqReply(ReplyCode.CLOSED))
    assert not publication.lost.is_set()


@pytest.mark.rule("R1", "R2")
async def test_behind_asks_for_the_beginning_and_then_everything_is_appended_again() -> None:
    """A failover lost the take."""
    log = _log(OutboxLimits(100, 1024, 10_000))
    publication = log.publication
    publication.add(Token("a"))
    publication.add(Token("b"))
    before = log.events.copy()
    assert not publication.on_reply(SeqReply(ReplyCode.BEHIND))
    assert publication.is_acknowledged
    publication.rewind()
    assert not publication.is_acknowledged
    log.take()
    assert log.events == before + before


@pytest.mark.rule("R1", "R2")
@pytest.mark.parametrize(
    ("reply", "confirmed"),
    [
        (SeqReply(ReplyCode.OK, 2), True), (SeqReply(ReplyCode.OK, 3), True), (SeqReply(ReplyCode.OK, 1), False),
        (SeqReply(ReplyCode.BEHIND), False), (SeqReply(ReplyCode.CLOSED), False),
    ],
)  # fmt: skip
async def test_a_renewal_shows_a_lost_tail_by_a_lower_seq(reply: SeqReply, confirmed: bool) -> None:
    """A higher one is an append that overtook it."""
    log = _log()
    log.publication.add(Token("a"))
    log.publication.add(Token("b"))
    assert log.publication.is_confirmed_by(reply) is confirmed


@pytest.mark.rule("R11")
async def test_the_time_in_which_redis_is_full_is_counted_until_a_reply() -> None:
    """Each reply starts it anew."""
    clock = HandClock()
    publication = InstantLog(clock).publication
    assert publication.on_full() == 0
    clock.advance(3)
    assert publication.on_full() == 3
    publication.on_reply(SeqReply(ReplyCode.OK, 0))
    clock.advance(3)
    assert publication.on_full() == 0


async def test_the_deadline_is_by_the_clock_since_the_take() -> None:
    """And the renewal carries what remains."""
    clock = HandClock()
    publication = InstantLog(clock, deadline_s=60).publication
    clock.advance(25)
    assert publication.remaining_s == 35
    assert publication.renewal() == ("gen_x", 17, 35)


@pytest.mark.parametrize(("attempt", "firsts"), [(1, 1), (2, 0)])
async def test_appends_are_measured_once_each(attempt: int, firsts: int) -> None:
    """The first one of the first attempt since create, each later one as a pause, and the last event as neither."""
    clock = HandClock()
    log = InstantLog(clock, attempt=attempt)
    for text in ("a", "b", "c"):
        clock.advance(0.5)
        log.publication.add(Token(text))
    await log.publication.close(Completed("stop", Usage(1, 3, 4), *log.publication.totals()))
    sample = log.metrics.registry.get_sample_value
    assert sample("outlive_time_to_first_token_seconds_count") == firsts
    assert sample("outlive_time_to_first_token_seconds_sum") == firsts * 2.5
    assert sample("outlive_inter_token_gap_seconds_count") == 2
    assert sample("outlive_inter_token_gap_seconds_sum") == 1.0
    assert sample("outlive_output_tokens_total") == 3
