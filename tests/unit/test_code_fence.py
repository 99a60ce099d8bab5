"""JSON inside a code fence, however it comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.worker.json_stream.code_fence import CodeFence

pytestmark = pytest.mark.rule("R30")


def _inside(*pieces: str) -> str:
    fence = CodeFence()
    return "".join([*(fence.feed(piece) for piece in pieces), fence.end()])


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('```json\n{"a": 1}\n```', '{"a": 1}'), ('```\n{"a": 1}\n```\nThat is it.', '{"a": 1}'),
        ('\n  ```JSON  \n{"a":\n 1}\n  ```', '{"a":\n 1}'), ('{"a": 1}', '{"a": 1}'), ("``", "``"), ("", ""),
        ('```json\n{"a": "```"}\n```', '{"a": "```"}'), ('```json\n{"a": 1}', '{"a": 1}'),
        ("Here: ```json\n{}\n```", "Here: ```json\n{}\n```"),
    ],
)  # fmt: skip
def test_the_text_inside_a_fence_comes_out_wherever_it_is_cut(text: str, inside: str) -> None:
    """Only a fence at the very beginning is one, and it closes at the beginning of a line."""
    assert _inside(text) == inside
    assert _inside(*text) == inside
    for cut in range(len(text)):
        assert _inside(text[:cut], text[cut:]) == inside


@given(st.text(alphabet='`\n {}a"json', max_size=30), st.integers(0, 30))
def test_cuts_change_nothing(text: str, cut: int) -> None:
    """Whatever the model writes."""
    assert _inside(text[:cut], text[cut:]) == _inside(text)


@given(st.text(max_size=30).filter(lambda text: "`" not in text))
def test_text_without_a_fence_passes_unchanged(text: str) -> None:
    """Nothing is held back at the end."""
    assert _inside(*text) == text
