"""What the provider sends, and what it means when it stops, on the whole path."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.invariants import check_invariants
from tests.support.redis_server import RedisServer
from tests.support.stack import Stack, demo
from tests.support.viewer import Viewer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
async def stack(redis_server: RedisServer) -> AsyncIterator[Stack]:
    """One API process and one worker, shared by the tests of this file."""
    async with Stack(redis=redis_server) as running:
        yield running


async def _types(stack: Stack, generation_id: str) -> list[str]:
    return [kind for _, kind, _ in await stack.log(generation_id)]


async def test_reasoning_comes_apart_from_the_text(stack: Stack) -> None:
    """Each has its own events, in the order of the provider."""
    generation_id = await stack.create(demo(pace_s=0.005, tokens=3, reasoning=2))
    snapshot = await stack.closed(generation_id)

    assert snapshot["status"] == "completed"
    assert snapshot["reasoning"]
    assert snapshot["text"]
    kinds = await _types(stack, generation_id)
    assert kinds.index("reasoning") < kinds.index("token")


async def test_a_refusal_is_neither_text_nor_failure(stack: Stack) -> None:
    """The provider refused in words and finished: completed, with these words."""
    snapshot = await stack.closed(await stack.create(demo(pace_s=0, refusal=4)))

    assert (snapshot["status"], snapshot["text"]) == ("completed", "")
    assert snapshot["refusal"]


async def test_tool_calls_stream_and_end_with_their_reason(stack: Stack) -> None:
    """Two parallel calls arrive complete, and the finish reason asks the caller to run them."""
    snapshot = await stack.closed(await stack.create(demo(pace_s=0, tools=2), tools=[WEATHER]))

    assert (snapshot["status"], snapshot["finish_reason"]) == ("completed", "tool_calls")
    assert [call["name"] for call in snapshot["tool_calls"]] == ["weather", "weather"]
    assert all(call["id"] and call["arguments"].endswith("}") for call in snapshot["tool_calls"])


@pytest.mark.rule("R14")
async def test_usage_is_the_providers(stack: Stack) -> None:
    """Nothing is estimated if the provider counts."""
    usage = (await stack.closed(await stack.create(demo(pace_s=0, tokens=7))))["usage"]

    assert usage["completion_tokens"] == 7
    assert "estimated" not in usage


@pytest.mark.rule("R14")
async def test_usage_is_estimated_and_says_so_when_the_provider_gives_none(stack: Stack) -> None:
    """There is always a usage."""
    usage = (await stack.closed(await stack.create(demo(pace_s=0, tokens=7, usage=0))))["usage"]

    assert usage["estimated"] is True
    assert usage["completion_tokens"] >= 7
    assert usage["prompt_tokens"] > 0


@pytest.mark.rule("R14")
async def test_a_cancelled_answer_has_the_usage_of_what_was_said(stack: Stack) -> None:
    """The provider was stopped before it counted; the count of the log is used."""
    generation_id = await stack.create(demo(pace_s=0, tokens=50, gate="never", gate_after=9))

    async def has_spoken() -> bool:
        return bool((await stack.snapshot(generation_id))["text"])

    await until(has_spoken, 10, "text before the gate")
    await stack.cancel(generation_id)
    usage = (await stack.snapshot(generation_id))["usage"]

    assert usage["estimated"] is True
    assert usage["prompt_tokens"] > 0
    assert 1 <= usage["completion_tokens"] <= 50


@pytest.mark.rule("R13")
async def test_a_stream_without_finish_reason_is_never_completed(stack: Stack) -> None:
    """With `on_interrupt: fail` the text so far stays, and the failure has a code."""
    snapshot = await stack.closed(await stack.create(demo(pace_s=0, tokens=5, finish="none"), on_interrupt="fail"))

    assert (snapshot["status"], snapshot["attempt"]) == ("failed", 1)
    assert snapshot["error"]["code"] == "upstream_truncated"
    assert snapshot["text"]


@pytest.mark.rule("R16")
async def test_an_interrupted_upstream_is_asked_again_three_times_in_all(stack: Stack) -> None:
    """Each attempt makes viewers drop the old text; then the failure says what the provider did."""
    generation_id = await stack.create(demo(pace_s=0, tokens=5, finish="none"))
    viewer = Viewer(generation_id, stack.urls, fold=False)
    transcript = await viewer.follow()
    snapshot = await stack.closed(generation_id)

    check_invariants([transcript], snapshot, await stack.log(generation_id))
    assert (snapshot["status"], snapshot["attempt"]) == ("failed", 3)
    assert snapshot["error"]["code"] == "upstream_truncated"
    reasons = [frame.data["reason"] for frame in transcript.frames if frame.event == "attempt"]
    assert reasons == ["started", "upstream_interrupted", "upstream_interrupted"]


@pytest.mark.rule("R28")
async def test_a_provider_that_recovers_before_its_first_word_costs_only_time(stack: Stack) -> None:
    """Two responses with 503, then the stream: one attempt, three requests, and none by the SDK itself."""
    model = demo(pace_s=0, tokens=5, fault=503, times=2)
    snapshot = await stack.closed(await stack.create(model))

    assert (snapshot["status"], snapshot["attempt"]) == ("completed", 1)
    assert len(await stack.model.requests(model)) == 3


@pytest.mark.rule("R27")
async def test_a_provider_that_breaks_off_once_is_asked_for_the_whole_answer_again(stack: Stack) -> None:
    """Viewers drop the incomplete text; the result is one answer."""
    model = demo(pace_s=0, tokens=8, fault="reset", after=3, times=1)
    generation_id = await stack.create(model)
    transcript = await Viewer(generation_id, stack.urls).follow()
    snapshot = await stack.closed(generation_id)

    check_invariants([transcript], snapshot, await stack.log(generation_id))
    assert (snapshot["status"], snapshot["attempt"]) == ("completed", 2)
    assert snapshot["usage"]["completion_tokens"] == 8


@pytest.mark.rule("R28")
async def test_a_wait_past_the_deadline_fails_now(stack: Stack) -> None:
    """With the reason of the provider, long before the deadline."""
    model = demo(fault=429, retry_after_s=40)
    snapshot = await stack.closed(await stack.create(model, deadline_s=35), within_s=20)

    assert (snapshot["status"], snapshot["error"]["code"]) == ("failed", "upstream_rate_limited")
    assert len(await stack.model.requests(model)) == 1


@pytest.mark.rule("R13")
async def test_a_provider_that_dies_in_the_middle_fails_the_answer(redis_server: RedisServer) -> None:
    """A broken connection after text is `upstream_connection`, with the text so far."""
    async with Stack(redis=redis_server) as stack:
        generation_id = await stack.create(demo(pace_s=0, tokens=50, gate="dies", gate_after=5), on_interrupt="fail")

        async def has_text() -> dict[str, Any] | None:
            snapshot = await stack.snapshot(generation_id)
            return snapshot if snapshot["text"] else None

        seen = await until(has_text, 10, "text before the gate")
        stack.model.kill()
        snapshot = await stack.closed(generation_id)

        assert snapshot["status"] == "failed"
        assert snapshot["error"]["code"] == "upstream_connection"
        assert snapshot["text"] == seen["text"]


async def test_a_provider_that_refuses_is_not_asked_again(stack: Stack) -> None:
    """Viewers get its reason; it got one request."""
    model = demo(nonsense=1)
    snapshot = await stack.closed(await stack.create(model))

    assert (snapshot["status"], snapshot["attempt"]) == ("failed", 1)
    assert snapshot["error"]["code"] == "upstream_refused"
    assert snapshot["error"]["retryable"] is False
    assert len(await stack.model.requests(model)) <= 1


async def test_the_deadline_ends_a_silent_answer(stack: Stack) -> None:
    """The generation is over at its deadline, and the socket of the provider is closed."""
    model = demo(pace_s=0, tokens=50, gate="never", gate_after=3)
    snapshot = await stack.closed(await stack.create(model, deadline_s=1))

    assert (snapshot["status"], snapshot["error"]["code"]) == ("failed", "deadline_exceeded")
    assert snapshot["usage"]["estimated"] is True

    async def is_closed() -> bool:
        return all(one["end"] == "client_closed" for one in await stack.model.requests(model))

    await until(is_closed, 2, "the provider's socket closes")
