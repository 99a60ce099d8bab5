"""Counts of tokens as providers send them, and as they should not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.shared.model.events import Usage
from outlive.worker.upstream.pieces import ChunkReader
from outlive.worker.upstream.usage_counts import read_usage

pytestmark = pytest.mark.rule("R14")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 9}, Usage(1, 2, 9)),
        ({"prompt_tokens": 1, "completion_tokens": None}, Usage(1, 0, 1)),
        ({"input_tokens": 11, "output_tokens": 5, "total_tokens": 16}, Usage(11, 5, 16)),
        ({"prompt_tokens": "7", "completion_tokens": 5.0}, Usage(7, 5, 12)),
        ({"prompt_tokens": 0, "completion_tokens": 5}, Usage(0, 5, 5)),
        (
            {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}, "cost": 0.1},
            Usage(1, 2, 3, None, {"cached_tokens": 1}),
        ),
        (
            {
                "prompt_tokens": 1,
                "prompt_tokens_details": {"a": 1e300, "b": [1], "c": -1, "d": True, "e": 10**30, "f": 6},
            },
            Usage(1, 0, 1, None, {"f": 6}),
        ),
        ({"prompt_tokens": 1, "prompt_tokens_details": [1], "completion_tokens_details": "many"}, Usage(1, 0, 1)),
        (
            {"prompt_tokens": 1, "prompt_tokens_details": {str(n): n for n in range(100)}},
            Usage(1, 0, 1, None, {str(n): n for n in range(16)}),
        ),
    ],
)
def test_usage_is_the_providers_own(usage: Any, expected: Usage) -> None:
    """In both spellings. Its total stands; a missing one is the sum; nothing is marked as a guess. Of details only
    counts are kept."""
    assert read_usage(usage) == expected


@pytest.mark.parametrize(
    "usage",
    [
        None, 7, "many", [1], {}, {"prompt_tokens": "many"}, {"prompt_tokens": float("inf")}, {"completion_tokens": -1},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, {"total_tokens": 12},
        {"prompt_tokens": -1, "completion_tokens": -1, "total_tokens": -1}, {"completion_tokens": 2**53},
    ],
    ids=str,
)  # fmt: skip
def test_a_usage_that_says_nothing_is_no_usage(usage: Any) -> None:
    """The worker's own estimate, marked as one, takes its place: never 0 and 0 as if they had been counted."""
    assert read_usage(usage) is None


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"delta": {}, "usage": {"prompt_tokens": 7, "completion_tokens": 5}}]},
        {"choices": [], "x_groq": {"usage": {"prompt_tokens": 7, "completion_tokens": 5}}},
        {"choices": [{"delta": None}], "usage": {"prompt_tokens": 7, "completion_tokens": 5}},
    ],
)
def test_usage_is_read_wherever_it_is(chunk: Any) -> None:
    """In the chunk, in its choice, in Groq's own member."""
    assert ChunkReader().pieces_of(chunk) == [Usage(7, 5, 12)]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda v: (
            st.lists(v)
            | st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens", "prompt_tokens_details", "x"]), v)
        ),
    )
)
def test_no_usage_breaks_an_answer(usage: Any) -> None:
    """Whatever JSON it is."""
    ChunkReader().pieces_of({"choices": [], "usage": usage})
