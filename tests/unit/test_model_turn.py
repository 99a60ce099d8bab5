"""One turn of the model: what ends it, what is asked again, and what each end is called."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from outlive.shared.errors import UpstreamBroken, UpstreamRefused
from outlive.shared.model.events import Delta, Reasoning, Token, ToolCall, Usage
from outlive.worker.attempt.model_turn import Interrupted, ModelTurn
from outlive.worker.attempt.retry import Unanswered
from outlive.worker.attempt.tool_calls import ToolCalls
from outlive.worker.upstream.chunks import DONE
from tests.support.hand_clock import HandClock
from tests.support.scripted_upstream import (
    BETWEEN_S,
    FIRST_S,
    PING,
    SILENCE,
    ScriptedUpstream,
    call,
    finish,
    token,
    usage,
)

pytestmark = pytest.mark.anyio

BROKEN = UpstreamBroken("upstream_connection", "broke off")
COMMENT: dict[str, Any] = {"choices": []}


class _Turn:
    """A turn against a script, with a clock moved by hand."""

    def __init__(self, *scripts: list[Any], remaining_s: float = 0.0) -> None:
        self.clock = HandClock()
        self.upstream = ScriptedUpstream(*scripts)
        self.events: list[Delta] = []
        self.turn = ModelTurn({"model": "m"}, self.upstream.model(self.clock), ToolCalls(), self._emit, tokens_before=0)
        self._remaining_s = remaining_s

    async def _emit(self, event: Delta) -> None:
        self.events.append(event)

    async def run(self) -> ModelTurn:
        await self.turn.run([self.upstream], lambda: self._remaining_s)
        assert self.upstream.open_sockets == 0
        return self.turn

    async def run_until(self, passes: Callable[[], None]) -> ModelTurn:
        """Run, and let time pass once the script waits."""
        running = asyncio.create_task(self.run())
        for _ in range(20):
            await asyncio.sleep(0)
        passes()
        return await running


async def test_pieces_come_out_in_order_until_the_provider_ends() -> None:
    """Text, calls with their ids, the finish reason and the count."""
    turn = _Turn([token("a"), call("c", "f", "{}"), token("b"), finish("tool_calls"), usage(3, 4)])
    done = await turn.run()
    assert turn.events == [Token("a"), ToolCall(0, "c", "f", "{}"), Token("b")]
    assert (done.text, done.finish_reason, done.usage) == ("ab", "tool_calls", Usage(3, 4, 7))


@pytest.mark.rule("R13")
async def test_an_end_without_a_finish_reason_is_an_interruption() -> None:
    """Only a finish reason says that the answer is complete."""
    with pytest.raises(Interrupted) as caught:
        await _Turn([token("a")]).run()
    assert caught.value.cause.failed_code == "upstream_truncated"


@pytest.mark.parametrize("script", [[], [COMMENT], [usage(1, 0)]])
async def test_before_the_first_piece_it_is_not_answered(script: list[Any]) -> None:
    """Empty chunks and counts are no pieces."""
    with pytest.raises(Unanswered) as caught:
        await _Turn([*script, BROKEN]).run()
    assert caught.value.cause is BROKEN


async def test_an_unanswered_request_is_sent_again() -> None:
    """While there is time for it."""
    turn = _Turn([BROKEN], [token("a"), finish()], remaining_s=60)
    assert (await turn.run()).text == "a"
    assert turn.upstream.requests == [{"model": "m"}] * 2


async def test_a_refusal_comes_out_as_it_is() -> None:
    """It is not asked again."""
    turn = _Turn([UpstreamRefused("upstream_auth", "no")], remaining_s=60)
    with pytest.raises(UpstreamRefused):
        await turn.run()
    assert len(turn.upstream.requests) == 1


@pytest.mark.rule("R27")
@pytest.mark.parametrize(
    ("script", "within_s", "error"),
    [
        ([SILENCE], FIRST_S, Unanswered), ([COMMENT, SILENCE], FIRST_S, Unanswered),
        ([token("a"), SILENCE], BETWEEN_S, Interrupted), ([token("a"), COMMENT, SILENCE], BETWEEN_S, Interrupted),
    ],
)  # fmt: skip
async def test_a_silent_provider_is_left(script: list[Any], within_s: float, error: type[Exception]) -> None:
    """Only pieces of the answer count."""
    turn = _Turn(script)
    with pytest.raises(error) as caught:
        await turn.run_until(lambda: turn.clock.advance(within_s))
    assert isinstance(caught.value, Unanswered | Interrupted)
    assert caught.value.cause.failed_code == "upstream_timeout"
    assert turn.upstream.open_sockets == 0


@pytest.mark.parametrize("last", [BROKEN, SILENCE])
async def test_what_happens_after_the_finish_reason_spoils_nothing(last: Any) -> None:
    """The answer is complete, counted or not."""
    turn = _Turn([token("a"), finish("length"), last])
    done = await turn.run_until(lambda: turn.clock.advance(BETWEEN_S))
    assert (done.text, done.finish_reason, done.usage) == ("a", "length", None)


async def test_our_own_slowness_is_not_the_providers_silence() -> None:
    """While a piece waits for room in the outbox, no time runs."""
    clock, upstream = HandClock(), ScriptedUpstream([token("a"), token("b"), finish()])
    may_go_on = asyncio.Event()

    async def emit(_: Delta) -> None:
        await may_go_on.wait()

    turn = ModelTurn({}, upstream.model(clock), ToolCalls(), emit, tokens_before=0)
    running = asyncio.create_task(turn.run([upstream], lambda: 0.0))
    for _ in range(20):
        await asyncio.sleep(0)
    clock.advance(100 * BETWEEN_S)
    may_go_on.set()
    await running
    assert turn.text == "ab"


async def test_reasoning_is_a_piece_and_not_text() -> None:
    """The next request repeats the text alone."""
    turn = _Turn([{"choices": [{"delta": {"reasoning": "hm"}}]}, token("a"), finish()])
    assert (await turn.run()).text == "a"
    assert turn.events == [Reasoning("hm"), Token("a")]


@pytest.mark.rule("R65")
async def test_the_wait_for_a_permit_is_not_the_providers_silence() -> None:
    """Others hold it for as long as they like."""
    turn = _Turn([token("a"), finish()])
    await turn.upstream.permit.acquire()

    def passes() -> None:
        turn.clock.advance(10 * FIRST_S)
        turn.upstream.permit.release()

    assert (await turn.run_until(passes)).text == "a"


@pytest.mark.rule("R27")
async def test_anything_that_a_provider_sends_shows_that_it_lives() -> None:
    """Models think for minutes behind comments and empty chunks; the first clock begins anew with each."""
    turn = _Turn([PING, SILENCE])
    running = asyncio.create_task(turn.run())
    for _ in range(20):
        await asyncio.sleep(0)
    turn.clock.advance(FIRST_S - 1)
    assert not running.done()
    turn.clock.advance(2)
    with pytest.raises(Unanswered):
        await running


@pytest.mark.rule("R13")
async def test_a_finish_reason_before_the_end_ends_nothing() -> None:
    """On every chunk, or behind the reasoning alone, for which the longer clock runs."""
    thought = {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}, "finish_reason": "stop"}]}
    turn = _Turn([thought, token("a"), finish("stop"), token("b"), finish("length")])
    done = await turn.run()
    assert (done.text, done.reasoning, done.finish_reason) == ("ab", "hm", "length")


@pytest.mark.rule("R13")
async def test_a_word_for_a_failure_is_an_interruption() -> None:
    """No tool runs on such a turn, and half a text is not `completed`."""
    with pytest.raises(Interrupted, match="abort"):
        await _Turn([token("a"), finish("abort"), usage(1, 1), DONE]).run()


@pytest.mark.rule("R71")
@pytest.mark.parametrize(
    ("code", "fails_over"),
    [
        ("upstream_connection", True), ("upstream_unavailable", True), ("upstream_rate_limited", True),
        ("upstream_timeout", False), ("upstream_truncated", False),
    ],
)  # fmt: skip
async def test_the_next_upstream_is_asked_when_one_refuses_for_now(code: str, fails_over: bool) -> None:
    """At once, and before the first piece only. The turn says which one answered."""
    first, second = ScriptedUpstream([UpstreamBroken(code, "no")]), ScriptedUpstream([token("a"), finish()])
    second.name = "second"

    async def emit(_: Delta) -> None:
        """Nothing is kept."""

    turn = ModelTurn({}, first.model(HandClock(), second), ToolCalls(), emit, tokens_before=0)
    if fails_over:
        await turn.run([first, second], lambda: 0.0)
        assert turn.upstream is second
    else:
        with pytest.raises(Unanswered):
            await turn.run([first, second], lambda: 0.0)
    assert (len(first.requests), len(second.requests)) == (1, int(fails_over))


async def test_what_the_provider_alone_understands_is_kept() -> None:
    """With its own word for the reason, and its name for reasoning."""
    thought = {"choices": [{"index": 0, "delta": {"reasoning": "hm", "reasoning_details": [{"data": "x"}]}}]}
    done = await _Turn([thought, token("a"), finish("end_turn")]).run()
    assert done.provider() == {
        "message": {"reasoning_details": [{"data": "x"}]},
        "reasoning_as": "reasoning",
        "finish_reason": "end_turn",
    }
