"""Owns the table of the quirks: for each the answer that a viewer must see."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

PROMPT: Final = "Room 100 costs 0.5, true 1"
"""The demo model repeats it, one character a piece: among them are pieces that look like numbers, zeros too."""
THOUGHT: Final = "The q"
ARGUMENTS: Final = {"n": 100}
PARAMETERS: Final = {"type": "object", "properties": {"n": {"const": 100}}, "required": ["n"]}
MINE: Final[dict[str, Any]] = {"type": "function", "function": {"name": "mine", "parameters": PARAMETERS}}
CUSTOM: Final = {"type": "custom", "custom": {"name": "shell"}}
FORMAT: Final = {"type": "json_schema", "json_schema": {"name": "r", "schema": PARAMETERS}}
DEVELOPER: Final = [{"role": "developer", "content": "Be short."}, {"role": "user", "content": PROMPT}]
MESSAGE: Final = "The demo model was asked to fail."
STREAM_MESSAGE: Final = "The demo model is overloaded."
LINK: Final = "https://platform.openai.com/account/api-keys"

ALIVE_S: Final = 4.5
"""Longer than the clocks of the stack."""

Calls = list[tuple[str, Any]]


@dataclass(frozen=True)
class Case:
    """One row: the behaviour of the provider, and the answer as a viewer sees it."""

    name: str
    wishes: Mapping[str, object]
    asks: Mapping[str, Any] = field(default_factory=dict)
    text: str = PROMPT
    reasoning: str = ""
    finish: str = "stop"
    calls: Calls = field(default_factory=list)
    code: str | None = None
    """Of the failure; None where the answer is completed."""
    words: str = ""
    """A part of the failure's message."""
    asked: int = 1
    """The number of requests. A failure without text after one request must not be retryable."""
    estimated: bool | None = False
    """None: not compared."""
    in_log: str = ""


def _good(quirk: str, *, name: str = "", **more: Any) -> Case:
    """The answer is whole, in whatever shape it comes."""
    wishes = more.pop("wishes", {})
    return Case(name or quirk, {"quirk": quirk} | wishes, **more)


def _thoughtful(quirk: str, **more: Any) -> Case:
    return _good(quirk, wishes={"reasoning": len(THOUGHT)}, reasoning=THOUGHT, **more)


def _call(quirk: str, *, arguments: Any = ARGUMENTS, count: int = 1, asks: Any = None, tool: str = "mine") -> Case:
    return _good(
        quirk,
        name=f"{quirk}, call",
        wishes={"tools": count},
        asks=asks or {"tools": [MINE]},
        text="",
        finish="tool_calls",
        calls=[(tool, arguments)] * count,
    )


def _word(word: str, finish: str) -> Case:
    return Case(f"finish {word}", {"finish": word}, finish=finish)


def _fails(name: str, ends: str, words: str = "", *, text: str = "", asked: int = 1, **wishes: object) -> Case:
    return Case(name, wishes, {"on_interrupt": "fail"}, text=text, code=ends, words=words, asked=asked, estimated=None)


def _error(quirk: str, fault: int | str, code: str, words: str = MESSAGE, *, asked: int = 1) -> Case:
    return _fails(f"{quirk} {fault}", code, words, asked=asked, fault=fault, quirk=quirk)


def _in_stream(fault: str, code: str, words: str = STREAM_MESSAGE, *, error: str = "", asked: int = 1) -> Case:
    coded = {"code": error} if error else {}
    return _fails(f"{fault} {error}", code, words, asked=asked, fault=fault, **coded)


CASES: Final = [
    # Values that are not strings.
    _good("numbers"),
    _call("numbers"),
    _thoughtful("numbers+parts"),
    _thoughtful("parts"),
    _thoughtful("summary_parts"),
    _good("object_content"),
    _thoughtful("object_reasoning"),
    _call("object_arguments"),
    # Reasoning under every name.
    *(_thoughtful(quirk) for quirk in ("reasoning", "reasoning_text", "both_reasonings", "thinking_blocks")),
    *(_thoughtful(quirk, in_log="reasoning.encrypted") for quirk in ("details", "details_only")),
    # An answer without a known member is never completed. Unknown members beside text do no harm.
    _fails("images", "upstream_protocol", "images", quirk="images"),
    _fails("unknown_member", "upstream_protocol", "new_kind_of_content", quirk="unknown_member"),
    _good("image_parts"),
    _good("citations", in_log="https://example.com/sea"),
    # Words, and where they are.
    *(_word(word, "stop") for word in ("end_turn", "eos_token", "STOP", "COMPLETE")),
    _word("unheard_of", "unheard_of"),
    *(_word(word, "length") for word in ("max_tokens", "MAX_TOKENS", "LENGTH", "model_context_window_exceeded")),
    *(_word(word, "content_filter") for word in ("SAFETY", "PROHIBITED_CONTENT", "sensitive")),
    *(
        _fails(f"finish {word}", "upstream_error", word, text=PROMPT, finish=word)
        for word in (
            "abort", "error", "network_error", "insufficient_system_resource", "malformed_function_call",
            "MALFORMED_FUNCTION_CALL",
        )
    ),
    _good("reason_everywhere"),
    _thoughtful("early_stop"),
    _good("camel"),
    _good("finish_object"),
    _good("reason_on_last"),
    _good("no_reason", in_log="finish_reason_missing"),
    Case("no reason, no [DONE]", {"quirk": "no_reason", "fault": "no_done"}, {"on_interrupt": "fail"},
         code="upstream_truncated", estimated=None),
    # Other shapes of a good answer.
    *(
        _thoughtful(quirk)
        for quirk in (
            "json_type", "html_type", "plain_type", "bytes_type", "encoding_none", "large_headers", "message",
            "message_beside", "whole", "bare_whole", "azure", "groq", "nan", "choice_one",
        )
    ),
    _good("text"),
    *(_call(quirk) for quirk in ("message", "whole", "message_beside", "json_type")),
    # Frames.
    *(_thoughtful(quirk) for quirk in ("pings", "crlf", "run_on", "blank_lines", "bom", "bom+run_on+json_type")),
    _thoughtful("no_last_newline", name="no_last_newline, usage"),
    _good("no_last_newline", wishes={"usage": 0}, estimated=True),
    # Usage.
    *(
        _good(quirk)
        for quirk in (
            "usage_input_output", "usage_in_choice", "usage_zero_first", "usage_cumulative", "usage_text",
            "usage_null_details",
        )
    ),
    *(_good(quirk, estimated=True) for quirk in ("usage_minus_one", "usage_zero", "usage_list", "usage_total_only")),
    _fails("usage_zero_first, cut", "upstream_truncated", text=PROMPT[:3], quirk="usage_zero_first", fault="cut",
           after=3),
    # Calls.
    _call("function_call", asks={"functions": [MINE["function"]]}),
    _call("custom_tool", asks={"tools": [CUSTOM]}, tool="shell", arguments="echo hi"),
    *(_call(quirk, arguments={}) for quirk in ("no_arguments", "null_arguments")),
    *(
        _call(quirk, count=2)
        for quirk in (
            "name_pieces", "null_members", "index_jump", "string_index", "same_id", "number_id", "long_id",
            "whole_calls", "call_signature", "late_signature",
        )
    ),
    _good("empty_calls"),
    # Requests.
    _good("no_developer_role", asks={"messages": DEVELOPER}, asked=2),
    _good("no_extras", asks={"metadata": {"a": "b"}, "deadline_s": 60, "on_interrupt": "fail"}),
    _good("no_nulls", asks={"temperature": None, "top_p": None, "user": None}),
    *(_good(quirk) for quirk in ("no_telemetry", "wants_accept", "redirect", "dies_on_reuse")),
    # Errors.
    _error("gzip_error", 401, "upstream_auth", ""),
    _error("gzip_error", 400, "upstream_refused"),
    _error("ollama_error", 404, "upstream_refused"),
    _error("gemini_error", 400, "upstream_refused"),
    _error("fastapi_error", 422, "upstream_refused"),
    _error("mistral_error", 422, "upstream_refused"),
    _error("cloudflare_error", 403, "upstream_auth"),
    _error("plain_error", 404, "upstream_refused"),
    _error("empty_error", 422, "upstream_refused", ""),
    _error("minimax_error", "json_error", "upstream_error", asked=4),
    _error("quota", 429, "upstream_refused", "exceeded your current quota"),
    _error("context", 400, "upstream_refused", "maximum context length"),
    *(_error(quirk, 401, "upstream_auth", LINK) for quirk in ("key_whole", "key_part", "key_masked")),
    _fails("402", "upstream_refused", MESSAGE, fault=402),
    _fails("503, x-should-retry: false", "upstream_refused", MESSAGE, fault=503, should_retry=0),
    Case("529, then well", {"fault": 529, "times": 1}, asked=2),
    Case("429, retry-after-ms, then well", {"fault": 429, "times": 1, "retry_after_ms": 900}, asked=2),
    *(_in_stream("error", "upstream_auth", error=code) for code in ("401", "403")),
    *(_in_stream("error", "upstream_refused", error=code) for code in ("400", "402", "context_length_exceeded")),
    _in_stream("bare_error", "upstream_auth", error="403"),
    _in_stream("plain_text_error", "upstream_error", "Number of choices", asked=4),
    *(
        _in_stream(fault, "upstream_error", asked=4)
        for fault in ("error", "event_error", "spark_error", "choice_error")
    ),
    *(
        _fails(f"{fault}, after text", "upstream_error", text=PROMPT[:3], fault=fault, after=3)
        for fault in ("error", "event_error", "spark_error", "choice_error", "plain_text_error")
    ),
    # Clocks.
    *(
        Case(f"alive by {how}", {"alive": how, "alive_s": ALIVE_S})
        for how in ("comments", "chunks", "pings", "blanks")
    ),
    Case("late head", {"head_s": 2}),
    Case("arguments held back", {"hold_s": 2, "tools": 1}, {"tools": [MINE]}, text="", finish="tool_calls",
         calls=[("mine", ARGUMENTS)]),
]  # fmt: skip
