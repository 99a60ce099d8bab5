"""Owns the quirks of requests: those that a compatible server refuses although OpenAI takes them.

Pure; works on request headers and bodies. Knows nothing of answers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from outlive.deploy.demo_model.quirks.chunk_rewrites import SIGNATURE

Headers = Mapping[bytes, bytes]

_PLAIN_MEMBERS: Final = frozenset({
    "model", "messages", "stream", "stream_options", "tools", "tool_choice", "temperature", "top_p", "max_tokens",
    "response_format", "stop", "seed",
})  # fmt: skip
_TELEMETRY: Final = b"x-stainless"
_SDK_AGENTS: Final = (b"openai/", b"asyncopenai/")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The requests that are refused, and the response to them."""

    is_refused: Callable[[Headers, Mapping[str, Any]], bool]
    status: int
    message: str


def _with_calls(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [message for message in body["messages"] if message.get("tool_calls")]


def _is_signed(message: Mapping[str, Any]) -> bool:
    """Whether the whole signature came back, on one of the calls or in the message."""
    calls = message["tool_calls"]
    signatures = [(call.get("extra_content") or {}).get("google", {}).get("thought_signature") for call in calls]
    if SIGNATURE in signatures:
        return True
    members = [*(message.get("reasoning_details") or ()), *(message.get("thinking_blocks") or ())]
    return any(SIGNATURE in (member.get("signature"), member.get("data")) for member in members)


def _has_telemetry(headers: Headers) -> bool:
    agent = headers.get(b"user-agent", b"").lower()
    return any(name.startswith(_TELEMETRY) for name in headers) or not agent or agent.startswith(_SDK_AGENTS)


def _accepts_events(headers: Headers) -> bool:
    accept = headers.get(b"accept", b"")
    return b"text/event-stream" in accept or b"*/*" in accept


REFUSALS: Final[Mapping[str, Refusal]] = {
    "no_stream_options": Refusal(
        lambda _, body: "stream_options" in body, 422, "body.stream_options: Extra inputs are not permitted"
    ),
    "no_developer_role": Refusal(
        lambda _, body: any(message.get("role") == "developer" for message in body["messages"]),
        400,
        "messages[0].role: unknown variant `developer`, expected one of `system`, `user`, `assistant`, `tool`",
    ),
    "no_max_tokens": Refusal(
        lambda _, body: "max_tokens" in body,
        400,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    ),
    "no_extras": Refusal(lambda _, body: bool(body.keys() - _PLAIN_MEMBERS), 400, "Extra inputs are not permitted"),
    "no_nulls": Refusal(lambda _, body: None in body.values(), 400, "expected a string, got null"),
    "wants_reasoning": Refusal(
        lambda _, body: not all(message.get("reasoning_content") for message in _with_calls(body)),
        400,
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
    ),
    "wants_signature": Refusal(
        lambda _, body: not all(_is_signed(message) for message in _with_calls(body)),
        400,
        "Function call is missing a thought_signature.",
    ),
    "wants_content": Refusal(
        lambda _, body: any(message.get("content") is None for message in body["messages"]),
        400,
        "Bad input: messages.1.content must be a string",
    ),
    "wants_accept": Refusal(lambda headers, _: not _accepts_events(headers), 406, "Not acceptable: text/event-stream"),
    "no_telemetry": Refusal(lambda headers, _: _has_telemetry(headers), 403, "Your request was blocked."),
}


def refusal_of(quirks: tuple[str, ...], headers: Headers, body: Mapping[str, Any]) -> Refusal | None:
    """The first of these quirks by which the request is refused, if any."""
    asked = (REFUSALS[quirk] for quirk in quirks if quirk in REFUSALS)
    return next((refusal for refusal in asked if refusal.is_refused(headers, body)), None)
