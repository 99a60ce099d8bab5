"""A Responses request as one of Chat Completions, and back into what the response says of it."""

from typing import Any

import pytest
from openai.types.responses import Response

from outlive.api.formats.format import Head
from outlive.api.wires.responses.previous_response import conversation
from outlive.api.wires.responses.response_fields import asked
from outlive.api.wires.responses.responses_request import chat_of, echo_of
from outlive.shared.errors import BadRequest
from outlive.shared.model.codec import encode_json
from outlive.shared.model.generation import ECHO

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def _messages(given: Any, **fields: Any) -> Any:
    return chat_of({"model": "demo", "input": given, **fields}, ())["messages"]


def test_a_string_is_what_the_user_says_after_the_instructions() -> None:
    """And instructions are the system's."""
    assert _messages("Hi", instructions="Be brief.") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_items_become_messages_and_a_turn_becomes_one() -> None:
    """Text and calls of a turn in one message, results as tool messages, reasoning left out."""
    assert _messages(
        [
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
            {"type": "function_call", "call_id": "c0", "name": "f", "arguments": '{"city":"Rome"}'},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": ""},
            {"type": "function_call_output", "call_id": "c0", "output": "sun"},
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "rain"}]},
        ]
    ) == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {"id": "c0", "type": "function", "function": {"name": "f", "arguments": '{"city":"Rome"}'}},
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c0", "content": "sun"},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ]


def test_pictures_and_files_stay_parts() -> None:
    """Beside the text they came with."""
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
    file = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}
    (message,) = _messages([{"role": "user", "content": [{"type": "input_text", "text": "What?"}, picture, file]}])

    assert message["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
    ]


def test_tools_format_and_limits_are_said_in_the_words_of_chat() -> None:
    """Fields unknown here go through, those of the stream do not."""
    chat = chat_of(
        {
            "model": "demo",
            "input": "x",
            "tools": [{"type": "function", "name": "f", "parameters": PARAMETERS, "strict": True}],
            "tool_choice": {"type": "function", "name": "f"},
            "text": {"format": {"type": "json_schema", "name": "n", "schema": PARAMETERS, "strict": True}},
            "reasoning": {"effort": "low", "summary": "auto"},
            "max_output_tokens": 7,
            "temperature": 0.5,
            "top_k": 3,
            "stream": True,
            "background": True,
            "include": ["reasoning.encrypted_content"],
            "metadata": {"a": "b"},
            "deadline_s": 5,
        },
        (),
    )

    assert chat == {
        "model": "demo",
        "messages": [{"role": "user", "content": "x"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": PARAMETERS, "strict": True}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": PARAMETERS, "strict": True},
        },
        "reasoning_effort": "low",
        "max_completion_tokens": 7,
        "temperature": 0.5,
        "top_k": 3,
        "metadata": {"a": "b"},
        "deadline_s": 5,
    }


def test_what_was_asked_is_said_again() -> None:
    """From the stored request, in the shape the SDK knows."""
    body: dict[str, Any] = {
        "model": "demo",
        "input": "x",
        "instructions": "Be brief.",
        "store": True,
        "tools": [{"type": "function", "name": "f", "parameters": PARAMETERS, "strict": True}],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": PARAMETERS, "strict": True}},
    }
    stored = chat_of(body, ()) | {ECHO: echo_of(body)}
    response = asked(Head(encode_json(stored), b"{}"))

    for name in ("instructions", "tool_choice", "text", "store"):
        assert response[name] == body[name]
    assert body["tools"][0].items() <= response["tools"][0].items()
    Response.model_validate(response | {"id": "resp_x", "created_at": 1.0, "model": "demo", "output": []})


def test_a_chat_request_is_shown_as_a_response_too() -> None:
    """A generation made through another wire has no notes beside its request."""
    response = asked(
        Head(b'{"model":"demo","messages":[],"response_format":{"type":"json_object"},"max_tokens":3}', b"{}")
    )

    assert response["instructions"] is None
    assert response["text"] == {"format": {"type": "json_object"}}
    assert response["max_output_tokens"] == 3


def test_the_next_response_takes_over_the_conversation_without_its_instructions() -> None:
    """Messages, the answer, and calls that are whole."""
    body = {"model": "demo", "input": "x", "instructions": "Be brief."}
    stored = chat_of(body, ()) | {ECHO: echo_of(body)}
    output: list[dict[str, Any]] = [
        {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "a"}],
        },
        {"type": "function_call", "call_id": "c0", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{", "status": "incomplete"},
    ]

    former = conversation(stored, output)
    assert former[0] == {"role": "user", "content": "x"}
    assert [call["id"] for call in former[1]["tool_calls"]] == ["c0"]
    assert chat_of({"model": "demo", "input": "y", "instructions": "Be long."}, former)["messages"] == [
        {"role": "system", "content": "Be long."},
        *former,
        {"role": "user", "content": "y"},
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": 5}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, "input[0].content[0]"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"truncation": "auto"}, "truncation"),
        ({"store": False, "background": True}, "store"),
        ({"instructions": 3}, "instructions"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    """Never quietly left out."""
    with pytest.raises(BadRequest) as refused:
        chat_of({"model": "demo", "input": "x", **fields}, ())
    assert refused.value.param == param
