"""What providers call the end of an answer."""

from typing import Any

import pytest

from outlive.worker.upstream.finish_reasons import Verdict, judge, read_reason

pytestmark = pytest.mark.rule("R13")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"), ("STOP", "stop"), ("end_turn", "stop"), ("eos_token", "stop"), ("COMPLETE", "stop"),
        ("length", "length"), ("MAX_TOKENS", "length"), ("maxTokens", "length"), ("model_context_window_exceeded",
        "length"),
        ("content_filter", "content_filter"), ("SAFETY", "content_filter"), ("sensitive", "content_filter"),
        ("tool_calls", "tool_calls"), ("tool_use", "tool_calls"), ("function_call", "tool_calls"),
    ],
)  # fmt: skip
def test_words_for_a_whole_or_cut_answer_become_openais(word: str, reason: str) -> None:
    """Clients in typed languages refuse words that OpenAI does not have."""
    assert judge(word) == (Verdict.WHOLE, reason)


@pytest.mark.parametrize(
    "word",
    [
        "abort", "aborted", "ERROR", "network_error", "insufficient_system_resource", "malformed_function_call",
        "MALFORMED_FUNCTION_CALL", "function_call_filter: MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "timeout",
        "cancelled", "engine_failure", "server_overloaded",
    ],
)  # fmt: skip
def test_words_for_a_failure_fail(word: str) -> None:
    """Half a text is never `completed` because a provider gave its failure a name."""
    assert judge(word)[0] is Verdict.BROKEN


def test_a_word_that_nobody_knows_is_unknown() -> None:
    """Whether it ends the answer is decided by what stands behind it."""
    assert judge("zonk") == (Verdict.UNKNOWN, "zonk")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, None), ("", None), (False, None), ("null", None), ("None", None), ("stop", "stop"),
        ({"type": "stop", "matched": 2}, "stop"), ({"reason": "length"}, "length"), ({}, None),
    ],
)  # fmt: skip
def test_a_reason_is_a_word_or_an_object_around_it(value: Any, reason: str | None) -> None:
    """An empty one, which some servers send with every chunk, ends nothing."""
    assert read_reason(value) == reason
