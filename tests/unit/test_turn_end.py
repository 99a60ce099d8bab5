"""When a turn of the model is over, and when it only looks so."""

import pytest

from outlive.shared.errors import UpstreamBroken, UpstreamRefused
from outlive.worker.attempt.turn_end import TurnEnd

pytestmark = pytest.mark.rule("R13")


def _text(end: TurnEnd) -> None:
    end.piece(is_reasoning=False, is_text=True)


def _thought(end: TurnEnd) -> None:
    end.piece(is_reasoning=True, is_text=False)


def test_a_reason_ends_a_turn() -> None:
    """In OpenAI's word for it."""
    end = TurnEnd()
    _text(end)
    assert not end.is_claimed
    end.finish("MAX_TOKENS")
    assert (end.is_claimed, end.is_plausible, end.reason()) == (True, True, "length")


def test_a_reason_after_which_more_comes_is_none_yet() -> None:
    """Some servers put one on every chunk, others behind the reasoning."""
    end = TurnEnd()
    _thought(end)
    end.finish("stop")
    assert end.is_claimed
    assert not end.is_plausible
    _text(end)
    assert not end.is_claimed
    with pytest.raises(UpstreamBroken, match="ended before"):
        end.reason()
    end.finish("stop")
    assert end.reason() == "stop"


def test_an_empty_answer_is_an_answer() -> None:
    """A model may have nothing to say."""
    end = TurnEnd()
    end.finish("stop")
    assert end.is_plausible
    assert end.reason() == "stop"


@pytest.mark.parametrize("word", ["abort", "error", "insufficient_system_resource"])
def test_a_word_for_a_failure_breaks_the_turn(word: str) -> None:
    """Whatever stands behind it; the text is half."""
    end = TurnEnd()
    _text(end)
    end.finish(word)
    end.has_done = end.has_usage = True
    with pytest.raises(UpstreamBroken, match=word) as caught:
        end.reason()
    assert caught.value.failed_code == "upstream_error"


@pytest.mark.parametrize(("done", "usage", "whole"), [(True, False, True), (False, True, True), (False, False, False)])
def test_an_unknown_word_needs_a_whole_stream(done: bool, usage: bool, whole: bool) -> None:
    """`[DONE]` or a count of tokens behind it."""
    end = TurnEnd()
    _text(end)
    end.finish("zonk")
    end.has_done, end.has_usage = done, usage
    if whole:
        assert end.reason() == "zonk"
    else:
        with pytest.raises(UpstreamBroken, match="zonk"):
            end.reason()


@pytest.mark.parametrize(("text", "done", "usage", "whole"), [(1, 1, 1, 1), (0, 1, 1, 0), (1, 0, 1, 0), (1, 1, 0, 0)])
def test_text_usage_and_done_make_up_for_a_missing_reason(text: int, done: int, usage: int, whole: int) -> None:
    """All three; less may be a stream that was cut."""
    end = TurnEnd()
    if text:
        _text(end)
    end.has_done, end.has_usage = bool(done), bool(usage)
    assert end.is_reason_missing == bool(whole)
    if whole:
        assert end.reason() == "stop"
    else:
        with pytest.raises(UpstreamBroken):
            end.reason()


def test_an_answer_of_which_nothing_was_understood_is_refused() -> None:
    """An image, or a kind of content that is new: asked again it would be the same."""
    end = TurnEnd()
    end.unread = {"images"}
    end.finish("stop")
    with pytest.raises(UpstreamRefused, match="`images`"):
        end.reason()
    _text(end)
    end.finish("stop")
    assert end.reason() == "stop"
