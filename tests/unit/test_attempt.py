"""One attempt: which end each answer gets, what is counted, and when tools are run."""

import asyncio
from typing import Any, Final

import pytest

from outlive.shared.errors import OwnershipLost, UpstreamBroken, UpstreamRefused
from outlive.shared.log.replies import ReplyCode
from outlive.shared.model.events import ToolCall, ToolCallDone, ToolResult
from outlive.worker.attempt.attempt import Attempt
from outlive.worker.attempt.earlier_attempts import EarlierAttempts
from outlive.worker.attempt.model_turn import Interrupted
from outlive.worker.tools.tool import Tool
from outlive.worker.tools.tool_threads import ToolThreads
from outlive.worker.tools.toolbox import Toolbox, ToolLimits
from tests.support.hand_clock import HandClock
from tests.support.instant_log import InstantLog
from tests.support.scripted_upstream import SILENCE, ScriptedUpstream, call, finish, token, usage
from tests.unit.test_earlier_attempts import attempt_log

pytestmark = pytest.mark.anyio

ROUNDS: Final = 2
OFFERS: Final = {"tools": [{"function": {"name": "double"}}]}
REQUEST: Final = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


async def double(number: int) -> int:
    """Twice as much."""
    return 2 * number


async def _nothing_earlier() -> EarlierAttempts:
    raise AssertionError("the first attempt reads no log")


class _Trial:
    """An attempt against a script, and the log it writes."""

    def __init__(
        self, *scripts: list[Any], attempt: int = 1, deadline_s: float = 60.0, max_output_tokens: int = 1000
    ) -> None:
        self.clock = HandClock()
        self.log = InstantLog(self.clock, attempt=attempt, deadline_s=deadline_s)
        self.upstream = ScriptedUpstream(*scripts, max_output_tokens=max_output_tokens)
        self.earlier = EarlierAttempts(17)

    async def run(self, **request: Any) -> dict[str, Any]:
        """The data of the last event, and its type."""
        tools = {"double": Tool.of(double, {})}
        toolbox = Toolbox(tools, ToolThreads(1), ToolLimits(5.0, 1000, ROUNDS), self.clock.time)
        model = self.upstream.model(self.clock)
        first = self.log.publication.taken.attempt == 1
        read_earlier = _nothing_earlier if first else self._read_earlier
        await Attempt(REQUEST | request, self.log.publication, model, toolbox, read_earlier).run()
        assert self.upstream.open_sockets == 0
        kind, data = self.log.events[-1]
        return {"type": kind, **data}

    def answer(self) -> list[tuple[str, Any]]:
        """The log without the `json` events, which repeat the text."""
        return [event for event in self.log.events if event[0] != "json"]

    def types(self) -> list[str]:
        return [kind for kind, _ in self.answer()]

    async def _read_earlier(self) -> EarlierAttempts:
        return self.earlier


@pytest.mark.rule("R13")
async def test_an_answer_with_a_finish_reason_is_completed() -> None:
    """With the provider's own count."""
    trial = _Trial([token("hel"), token("lo"), finish("stop"), usage(3, 2)])
    last = await trial.run()
    assert trial.types() == ["token", "token", "turn", "completed"]
    assert (last["finish_reason"], last["chars"], last["events"]) == ("stop", 5, 5)
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


async def test_what_the_provider_does_not_count_is_estimated() -> None:
    """And says so."""
    last = await _Trial([token("hello"), finish()]).run()
    assert last["usage"]["estimated"] is True
    assert last["usage"]["completion_tokens"] > 0


@pytest.mark.rule("R13")
async def test_an_answer_that_breaks_off_is_left_to_another_attempt() -> None:
    """No last event is written: whoever runs the attempt decides."""
    trial = _Trial([token("a"), UpstreamBroken("upstream_connection", "x")])
    with pytest.raises(Interrupted):
        await trial.run()
    assert trial.types() == ["token"]


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (UpstreamRefused("upstream_auth", "no"), "upstream_auth", False),
        (UpstreamBroken("upstream_rate_limited", "later", retry_after_s=61.0), "upstream_rate_limited", True),
    ],
)
async def test_a_request_that_nobody_answers_fails_with_its_code(error: Exception, code: str, retryable: bool) -> None:
    """Nothing was paid for, so no attempt follows."""
    last = await _Trial([error]).run()
    assert (last["type"], last["code"], last["retryable"]) == ("failed", code, retryable)


async def test_the_deadline_fails_the_answer_with_what_it_has() -> None:
    """Its time is the generation's, and not the provider's."""
    trial = _Trial([token("a"), SILENCE], deadline_s=0.01)
    last = await trial.run()
    assert (last["code"], last["retryable"], last["chars"]) == ("deadline_exceeded", True, 1)


@pytest.mark.rule("R66")
async def test_more_pieces_than_the_upstream_allows_tokens_are_too_many() -> None:
    """Exactly as many are not. Four single letters, which gateways send to smooth a stream, count as one."""
    for pieces, chars in (
        ([token(f" {n}") for n in range(4)], 6),
        ([token(letter) for letter in "abcdefghijklmnop"], 12),
    ):
        assert (await _Trial([*pieces, finish()], max_output_tokens=4).run())["type"] == "completed"
        last = await _Trial([*pieces, finish()], max_output_tokens=3).run()
        assert (last["code"], last["retryable"], last["chars"]) == ("output_too_large", False, chars)


@pytest.mark.rule("R66")
async def test_no_turn_follows_once_the_provider_has_counted_enough() -> None:
    """It counts reasoning, too, that it does not show."""
    trial = _Trial([call("c", "double", '{"number":1}'), finish("tool_calls"), usage(1, 10)], max_output_tokens=10)
    last = await trial.run(**OFFERS)
    assert (last["code"], len(trial.upstream.requests)) == ("output_too_large", 1)


async def test_our_tools_are_run_and_the_model_is_asked_again() -> None:
    """It is shown their results, and the answer's usage is the sum of both turns."""
    trial = _Trial(
        [call("c", "double", '{"number":21}'), finish("tool_calls"), usage(10, 5)],
        [token("42"), finish(), usage(20, 3)],
    )
    last = await trial.run(**OFFERS)
    assert trial.types() == ["tool_call", "tool_call_done", "turn", "tool_result", "token", "turn", "completed"]
    assert trial.answer()[3][1]["content"] == "42"
    assert [message["role"] for message in trial.upstream.requests[1]["messages"]] == ["user", "assistant", "tool"]
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (30, 8)


async def test_a_turn_that_is_not_counted_is_estimated_alone() -> None:
    """By the tokens between its beginning and the next one's."""
    trial = _Trial(
        [token("x" * 400), call("c", "double", '{"number":1}'), finish("tool_calls")],
        [token("a"), finish(), usage(1, 1)],
    )
    last = await trial.run(**OFFERS)
    assert last["usage"]["estimated"] is True
    assert 50 < last["usage"]["completion_tokens"] < 200


@pytest.mark.parametrize("name", ["double", "other"])
async def test_calls_of_tools_that_are_not_offered_are_the_callers(name: str) -> None:
    """Also of a tool that we have and the request does not name."""
    trial = _Trial([call("c", name), finish("tool_calls")])
    last = await trial.run()
    assert (last["type"], last["finish_reason"]) == ("completed", "tool_calls")
    assert trial.types() == ["tool_call", "tool_call_done", "turn", "completed"]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_a_call_that_may_be_cut_is_not_complete(reason: str) -> None:
    """And not run."""
    trial = _Trial([call("c", "double", '{"number":2'), finish(reason)])
    last = await trial.run(**OFFERS)
    assert (last["finish_reason"], trial.types()) == (reason, ["tool_call", "turn", "completed"])


async def test_a_model_that_never_stops_calling_is_stopped() -> None:
    """After as many rounds as are allowed."""
    rounds = [[call(f"c{n}", "double", '{"number":1}'), finish("tool_calls")] for n in range(ROUNDS + 1)]
    last = await _Trial(*rounds).run(**OFFERS)
    assert (last["code"], last["retryable"]) == ("too_many_rounds", False)


async def test_a_later_attempt_repeats_finished_rounds_and_asks_for_the_rest() -> None:
    """The tool is not run again; the model is shown its result."""
    trial = _Trial([token("8"), finish()], attempt=2)
    done = ToolCallDone(0, "c", "double", '{"number":4}')
    result = ToolResult("c", "double", "8", None, 1)
    trial.earlier.add(attempt_log(5, ToolCall(0, "c", "double", done.arguments), done, result))
    await trial.run(**OFFERS)
    assert trial.types() == ["tool_call", "tool_call_done", "tool_result", "token", "turn", "completed"]
    (request,) = trial.upstream.requests
    assert request["messages"][-1] == {"role": "tool", "tool_call_id": "c", "content": "8"}


@pytest.mark.rule("R6")
async def test_an_attempt_that_lost_its_ownership_ends_without_an_event() -> None:
    """It learns it with its next piece, and its upstream is closed."""
    trial = _Trial([token("a"), SILENCE])
    running = asyncio.create_task(trial.run())
    while not trial.log.events:
        await asyncio.sleep(0)
    trial.log.publication.lose(ReplyCode.FENCED)
    running.cancel()
    await asyncio.wait({running})
    assert (trial.types(), trial.upstream.open_sockets) == (["token"], 0)

    late = _Trial([token("a"), finish()])
    late.log.publication.lose(ReplyCode.FENCED)
    with pytest.raises(OwnershipLost):
        await late.run()


async def test_json_is_streamed_and_checked_beside_the_text() -> None:
    """What is wrong with it is in the last event."""
    trial = _Trial([token('{"a":'), token("1"), finish("length")])
    last = await trial.run(response_format={"type": "json_object"})
    assert trial.log.types()[:2] == ["token", "json"]
    assert [violation["message"] for violation in last["violations"]] == ["The text ends before the JSON does."]
