"""A log as the stream events of the Responses API, held against the types and the accumulator of OpenAI's SDK."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from outlive.api.formats.format import Head
from outlive.api.wires.responses.responses_translator import ResponsesTranslator
from outlive.shared.log.reader import Logged
from outlive.shared.model.events import (
    Cancelled,
    Completed,
    Delta,
    Event,
    Failed,
    Reasoning,
    Refusal,
    Token,
    ToolCall,
    ToolCallDone,
    ToolResult,
)
from tests.support.handwritten_logs import USAGE, log_of
from tests.support.sse import Frame, Parser

HEAD = Head(b'{"model":"demo","messages":[{"role":"user","content":"x"}]}', b'{"a":"b"}')
STOP = Completed("stop", USAGE, 5, 5)
CUT = {"reason": "max_output_tokens"}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def _translated(log: list[Logged]) -> tuple[list[Frame], dict[str, Any]]:
    """The frames, each of which the SDK's own types accept, and the response at their end."""
    translator = ResponsesTranslator(HEAD)
    frames = Parser().feed(b"".join(frame for event in log for frame in translator.translate(event)))
    for frame in frames:
        event = EVENT.validate_python(frame.data)
        assert type(event).__name__ != "BaseModel"
        assert event.type == frame.event == frame.data["type"]
    assert [frame.data["sequence_number"] for frame in frames] == list(range(len(frames)))
    assert [frame.id for frame in frames] == [str(number) for number in range(len(frames))]
    Response.model_validate(translator.response)
    return frames, translator.response


def _accumulated(frames: list[Frame]) -> Any:
    """What `responses.stream(...)` makes of these frames; it refuses what does not fit together."""
    state: Any = ResponseStreamState(input_tools=[], text_format=omit)
    for frame in frames:
        state.handle_event(EVENT.validate_python(frame.data))
    return state._completed_response


def _names(frames: list[Frame]) -> list[str]:
    return [frame.event.removeprefix("response.") for frame in frames]


def test_text_comes_in_the_order_of_the_api() -> None:
    """Created, queued, begun; the item, its part, its deltas, and each of them closed."""
    frames, response = _translated(log_of([Token("a"), Token("b"), STOP]))

    assert _names(frames) == [
        "created", "queued", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
        "output_text.delta", "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert response["id"] == "resp_0123456789abcdef0123456789abcdef"
    assert response["status"] == "completed"
    assert response["metadata"] == {"a": "b"}
    assert _accumulated(frames).output_text == "ab"
    assert frames[-1].data["response"] == response
    assert response["usage"]["input_tokens"] == USAGE.prompt_tokens


def test_reasoning_text_refusal_and_calls_are_items_of_their_own() -> None:
    """A refusal is another part of the message; a call closes the item before it."""
    frames, response = _translated(
        log_of(
            [
                Reasoning("hm"),
                Token("a"),
                Refusal("no"),
                ToolCall(0, "c0", "f", "{"),
                ToolCall(1, "c1", "g", ""),
                ToolCall(0, None, None, "}"),
                ToolCallDone(0, "c0", "f", "{}"),
                ToolCallDone(1, "c1", "g", ""),
                Completed("tool_calls", USAGE, 1, 10),
            ]
        )
    )

    reasoning, message, first, second = response["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert (first["call_id"], first["name"], first["arguments"]) == ("c0", "f", "{}")
    assert (second["call_id"], second["arguments"], second["status"]) == ("c1", "", "completed")
    assert [item.type for item in _accumulated(frames).output] == [
        "reasoning", "message", "function_call", "function_call",
    ]  # fmt: skip


def test_what_a_worker_ran_is_a_call_with_its_output() -> None:
    """And the text after it is another message."""
    _, response = _translated(
        log_of(
            [
                Token("Let me see. "),
                ToolCall(0, "c0", "f", "{}"),
                ToolCallDone(0, "c0", "f", "{}"),
                ToolResult("c0", "f", None, "broken", 3),
                Token("It is broken."),
                STOP,
            ]
        )
    )

    assert [item["type"] for item in response["output"]] == [
        "message", "function_call", "function_call_output", "message",
    ]  # fmt: skip
    assert response["output"][2]["output"] == "Error: broken"


@pytest.mark.rule("R50")
def test_a_new_attempt_closes_what_was_open_and_only_the_last_counts() -> None:
    """The first attempt's items stay in the stream, incomplete, and are not in the response."""
    frames, response = _translated(log_of([Reasoning("hm"), Token("once ")], [Token("again"), STOP]))
    done = [frame.data["item"] for frame in frames if frame.event == "response.output_item.done"]

    assert [(item["type"], item["status"]) for item in done] == [
        ("reasoning", "completed"),
        ("message", "incomplete"),
        ("message", "completed"),
    ]
    assert len({item["id"] for item in done}) == 3
    assert _names(frames).count("in_progress") == 1
    assert [item["id"] for item in response["output"]] == [done[-1]["id"]]
    assert _accumulated(frames).output_text == "again"


def test_a_repeated_call_has_another_id() -> None:
    """A new attempt repeats what its tools did; to the SDK one id is one item."""
    repeated: list[Event] = [
        ToolCall(0, "c0", "f", "{}"),
        ToolCallDone(0, "c0", "f", "{}"),
        ToolResult("c0", "f", "seen", None, 3),
    ]
    frames, response = _translated(log_of(repeated, [*repeated, Token("a"), STOP]))
    call, result, _ = response["output"]

    assert call["call_id"] == result["call_id"] != "c0"
    assert _accumulated(frames).output_text == "a"


@pytest.mark.parametrize(
    ("terminal", "event", "status", "more"),
    [
        (Completed("length", USAGE, 1, 3), "incomplete", "incomplete", {"incomplete_details": CUT}),
        (Cancelled("requested", USAGE, 1, 3), "incomplete", "cancelled", {"error": None}),
        (
            Failed("upstream_rate_limited", "Too much.", True, USAGE, 1, 3),
            "failed",
            "failed",
            {"error": {"code": "rate_limit_exceeded", "message": "Too much. (upstream_rate_limited)"}},
        ),
    ],
)
def test_an_end_that_is_not_whole_says_so(terminal: Event, event: str, status: str, more: dict[str, Any]) -> None:
    """The open item is closed as incomplete, and the response carries the reason."""
    frames, response = _translated(log_of([Token("a"), ToolCall(0, "c0", "f", "{"), terminal]))

    assert _names(frames)[-1] == event
    assert response["status"] == status
    assert response["output"][-1]["status"] == "incomplete"
    assert more.items() <= response.items()


def test_a_response_that_is_not_over_shows_what_it_has() -> None:
    """Half a message, half a call."""
    _, response = _translated(log_of([Token("a"), Token("b"), ToolCall(0, "c0", "f", '{"x"')]))

    assert response["status"] == "in_progress"
    assert response["output"][0]["content"][0]["text"] == "ab"
    assert response["output"][1]["arguments"] == '{"x"'


@pytest.mark.rule("R51")
@given(
    st.lists(
        st.lists(
            st.one_of(
                st.builds(Token, st.text(max_size=3)),
                st.builds(Reasoning, st.text(max_size=3)),
                st.builds(Refusal, st.text(max_size=3)),
                st.integers(0, 2),
            ),
            max_size=8,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_numbers_have_no_hole_and_the_text_is_the_last_attempts(attempts: list[list[Delta | int]]) -> None:
    """In whatever order the output comes; the SDK's accumulator accepts all of it."""
    outputs: list[list[Event]] = [[*_with_calls(one)] for one in attempts]
    frames, response = _translated(log_of(*outputs[:-1], [*outputs[-1], STOP]))
    texts = [
        part["text"]
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] == "output_text"
    ]

    assert "".join(texts) == "".join(event.text for event in outputs[-1] if isinstance(event, Token))
    assert _accumulated(frames).output_text == "".join(texts)


def _with_calls(pieces: list[Delta | int]) -> list[Event]:
    """A number is the next piece of that call; all calls end at the end."""
    events: list[Event] = []
    begun: dict[int, str] = {}
    for piece in pieces:
        if not isinstance(piece, int):
            events.append(piece)
            continue
        named = piece not in begun
        begun[piece] = begun.get(piece, "") + "x"
        events.append(ToolCall(piece, f"c{piece}" if named else None, "f" if named else None, "x"))
    return [*events, *(ToolCallDone(index, f"c{index}", "f", begun[index]) for index in sorted(begun))]
