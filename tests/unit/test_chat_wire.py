"""A log as Chat Completions chunks: what OpenAI's SDK makes of it, and where it may be cut."""

from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from outlive.api.wires.chat.chat_translator import ChatTranslator
from outlive.shared.log.reader import Logged
from outlive.shared.model.cursor import Cursor
from outlive.shared.model.events import (
    Cancelled,
    Completed,
    Event,
    Failed,
    Reasoning,
    Refusal,
    Token,
    ToolCall,
    ToolCallDone,
)
from tests.support.handwritten_logs import EPOCH, USAGE, log_of
from tests.support.sse import Frame, Parser

STOP = Completed("stop", USAGE, 5, 5)


def _frames(log: list[Logged], *, include_usage: bool = False) -> list[Frame]:
    translator = ChatTranslator(include_usage=include_usage)
    return Parser().feed(b"".join(frame for event in log for frame in translator.translate(event)))


def _chunks(frames: list[Frame]) -> list[ChatCompletionChunk]:
    return [
        ChatCompletionChunk.model_validate_json(frame.text, strict=True) for frame in frames if frame.text != "[DONE]"
    ]


def _message(*output: Event) -> Any:
    """What the SDK's accumulator makes of these events."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in _chunks(_frames(log_of(output))):
        state.handle_chunk(chunk)
    return state.get_final_completion().choices[0]


def test_text_reasoning_and_the_end_are_chunks() -> None:
    """Who speaks first, a chunk per piece, the finish reason, and `[DONE]`."""
    frames = _frames(log_of([Reasoning("hm"), Token("a\nb"), Token("\ud83d"), STOP]))
    deltas = [frame.data["choices"][0]["delta"] for frame in frames[:-1]]

    assert deltas == [
        {"role": "assistant", "content": "", "refusal": None},
        {"reasoning_content": "hm"},
        {"content": "a\nb"},
        {"content": "\ud83d"},
        {},
    ]
    assert frames[-1].text == "[DONE]"
    assert frames[-2].data["choices"][0]["finish_reason"] == "stop"
    assert {frame.data["id"] for frame in frames[:-1]} == {"chatcmpl-0123456789abcdef0123456789abcdef"}


def test_usage_comes_when_asked_for_in_a_chunk_without_choices() -> None:
    """And is null in all others."""
    frames = _frames(log_of([Token("a"), STOP]), include_usage=True)
    *others, last = [frame.data for frame in frames[:-1]]

    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    assert all(other["usage"] is None for other in others)
    assert "usage" not in _frames(log_of([Token("a"), STOP]))[0].data


def test_the_sdk_puts_pieces_of_calls_together() -> None:
    """Also where pieces of two calls alternate."""
    choice = _message(
        ToolCall(0, "c0", "f", ""),
        ToolCall(1, "c1", "g", "{"),
        ToolCall(0, None, None, '{"a":1}'),
        ToolCall(1, None, None, "}"),
        ToolCallDone(0, "c0", "f", '{"a":1}'),
        ToolCallDone(1, "c1", "g", "{}"),
        Completed("tool_calls", USAGE, 0, 8),
    )

    assert choice.finish_reason == "tool_calls"
    assert [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls] == [
        ("c0", "f", '{"a":1}'),
        ("c1", "g", "{}"),
    ]


def test_the_sdk_puts_a_refusal_together() -> None:
    """Apart from the content."""
    choice = _message(Refusal("I "), Refusal("will not."), STOP)
    assert (choice.message.refusal, choice.message.content) == ("I will not.", "")


@pytest.mark.rule("R49")
def test_an_id_is_the_last_event_sent_whole() -> None:
    """So a viewer that is cut between the frames of one event gets all of them again, and misses none."""
    log = log_of([Token("a"), Token("b"), STOP])
    frames = _frames(log, include_usage=True)

    assert [frame.id for frame in frames] == [
        f"{EPOCH + 1}-0",
        f"{EPOCH + 1}-1",
        f"{EPOCH + 1}-2",
        f"{EPOCH + 1}-2",
        f"{EPOCH + 1}-2",
        f"{EPOCH + 1}-3",
    ]
    assert str(log[-1].cursor) == frames[-1].id == str(Cursor(EPOCH + 1, 3))


@pytest.mark.parametrize(
    ("terminal", "code", "kind"),
    [
        (Failed("upstream_rate_limited", "Too much.", True, USAGE, 1, 3), "upstream_rate_limited", "rate_limit_error"),
        (Failed("worker_lost", "Gone.", True, USAGE, 1, 3), "worker_lost", "server_error"),
        (Cancelled("requested", USAGE, 1, 3), "cancelled", "invalid_request_error"),
    ],
)
def test_what_did_not_complete_ends_with_an_error(terminal: Event, code: str, kind: str) -> None:
    """A top-level `error`, which the SDKs raise, and no `[DONE]`."""
    last = _frames(log_of([Token("a"), terminal]))[-1]
    assert (last.data["error"]["code"], last.data["error"]["type"]) == (code, kind)


@pytest.mark.rule("R50")
def test_text_is_never_doubled_by_a_new_attempt() -> None:
    """Text cannot be taken back, so an error comes instead, and nothing follows."""
    frames = _frames(log_of([Token("once ")], [Token("once "), Token("more"), STOP]))
    texts = [frame.data["choices"][0]["delta"].get("content") for frame in frames[:-1]]

    assert texts == ["", "once "]
    assert frames[-1].data["error"]["code"] == "new_attempt"


@pytest.mark.rule("R50")
def test_a_new_attempt_before_the_first_word_is_not_noticed() -> None:
    """There is nothing to take back."""
    frames = _frames(log_of([], [Token("a"), STOP]))
    assert [frame.data["choices"][0]["delta"] for frame in frames[:-1]] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "a"},
        {},
    ]
