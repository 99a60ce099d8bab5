"""The guess at token counts."""

from typing import Any

import pytest

from outlive.shared.model.usage import estimate_output, estimate_prompt, estimated


@pytest.mark.parametrize(
    ("messages", "tokens"),
    [
        ([], 0),
        ([{"role": "user", "content": ""}], 0),
        ([{"role": "user", "content": "a"}], 1),
        ([{"role": "user", "content": "abcd"}, {"role": "assistant", "content": "e"}], 2),
        ([{"role": "user", "content": [{"type": "text", "text": "abcd"}]}], 2),
        ([{"role": "assistant", "content": None, "n": 5}], 0),
    ],
)
@pytest.mark.rule("R14")
def test_four_characters_are_a_token_and_roles_are_free(messages: list[Any], tokens: int) -> None:
    """Rounded up over all messages, whatever their shape."""
    assert estimate_prompt({"model": "m", "messages": messages}) == tokens


def test_a_deeply_nested_message_is_counted_too() -> None:
    """As deep as our JSON goes: the caller decides the shape."""
    content: Any = "abcd"
    for _ in range(1000):
        content = [content]
    assert estimate_prompt({"messages": [{"role": "user", "content": content}]}) == 1


@pytest.mark.parametrize(("pieces", "chars", "tokens"), [(0, 0, 0), (3, 4, 3), (1, 400, 100), (1, 401, 101)])
@pytest.mark.rule("R14")
def test_a_piece_is_at_least_one_token(pieces: int, chars: int, tokens: int) -> None:
    """And a long piece is several."""
    assert estimate_output(pieces, chars) == tokens


@pytest.mark.rule("R14")
def test_a_guess_says_that_it_is_one() -> None:
    """`estimated` is set, and the total is the sum."""
    usage = estimated(3, 4)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, usage.estimated) == (
        3,
        4,
        7,
        True,
    )
