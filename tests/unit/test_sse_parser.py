"""The tests' own SSE parser, held against the specification's examples and its corners."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sse import Frame, Parser


def parsed(stream: bytes) -> list[tuple[str | None, str, str]]:
    """id, event and data of every frame of a whole stream."""
    return [(frame.id, frame.event, frame.text) for frame in Parser().feed(stream)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [(None, "message", "a")]),
        (b"data:a\n\n", [(None, "message", "a")]),
        (b"data:  a\n\n", [(None, "message", " a")]),
        (b"data: a\ndata: b\n\n", [(None, "message", "a\nb")]),
        (b"data\n\n", [(None, "message", "")]),
        (b"data\ndata\n\n", [(None, "message", "\n")]),
        (b"data: a:b\n\n", [(None, "message", "a:b")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [(None, "x", "a"), (None, "message", "b")]),
        (b"event: x\n\ndata: a\n\n", [(None, "message", "a")]),
        (b": nothing\n\n", []),
        (b": said\ndata: a\n:\n\n", [(None, "message", "a")]),
        (b"Data: a\n\n", []),
        (b" data: a\n\n", []),
        (b"id: 1\ndata: a\n\n", [("1", "message", "a")]),
        (b"data: a\n", []),
        (b"\n\n\ndata: a\n\n", [(None, "message", "a")]),
        ("data: \u2028\u0085\x0b\n\n".encode(), [(None, "message", "\u2028\u0085\x0b")]),
        (b"data: \xff\n\n", [(None, "message", "\ufffd")]),
    ],
)
def test_a_stream_gives_the_frames_the_specification_says(
    stream: bytes, expected: list[tuple[str | None, str, str]]
) -> None:
    """Fields, colons, spaces, unknown names and unfinished blocks."""
    assert expected == parsed(stream)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_end_with_cr_lf_or_both(end: bytes) -> None:
    """All three line ends mean the same."""
    stream = end.join([b"id: 1", b"event: x", b"data: a", b"data: b", b"", b""])
    assert parsed(stream) == [("1", "x", "a\nb")]


def test_line_ends_may_be_mixed() -> None:
    """CR LF is one line end, LF CR is two."""
    assert parsed(b"data: a\n\r") == [(None, "message", "a")]
    assert parsed(b"data: a\rdata: b\r\n\n") == [(None, "message", "a\nb")]


def test_one_byte_order_mark_is_dropped_and_only_at_the_start() -> None:
    """A second mark is part of the field's name, so the line is ignored."""
    bom = b"\xef\xbb\xbf"
    assert parsed(bom + b"data: a\n\n") == [(None, "message", "a")]
    assert parsed(bom + bom + b"data: a\n\n") == []
    assert parsed(b"data: a\n\n" + bom + b"data: b\n\n") == [(None, "message", "a")]


def test_an_id_with_nul_is_ignored() -> None:
    """The browser would keep the former id, so must we."""
    parser = Parser()
    frames = parser.feed(b"id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n")
    assert [frame.id for frame in frames] == ["1", None]
    assert parser.last_event_id == "1"


def test_an_empty_id_resets_the_last_event_id() -> None:
    """`id` alone means: on reconnect send none."""
    parser = Parser()
    frames = parser.feed(b"id: 1\ndata: a\n\nid\ndata: b\n\n")
    assert [frame.last_event_id for frame in frames] == ["1", ""]


def test_an_id_without_data_counts_for_resuming() -> None:
    """The block dispatches nothing, yet its id is the last event id."""
    parser = Parser()
    assert parser.feed(b"id: 7\n\n") == []
    assert parser.last_event_id == "7"


def test_the_last_event_id_stays_for_frames_without_one() -> None:
    """Frames without an id do not move the place to resume from."""
    frames = Parser().feed(b"id: 1\ndata: a\n\ndata: b\n\n")
    assert [(frame.id, frame.last_event_id) for frame in frames] == [("1", "1"), (None, "1")]


def test_an_id_of_an_unfinished_block_does_not_count() -> None:
    """A cut in the middle of a block must not lose its event on resume."""
    parser = Parser()
    parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")
    assert parser.last_event_id == "1"


def test_retry_takes_digits_only() -> None:
    """Anything else leaves the former value."""
    parser = Parser()
    parser.feed(b"retry: 1500\n\nretry: 2s\n\nretry: -1\n\nretry:\n\n")
    assert parser.retry_ms == 1500


def test_comments_are_counted() -> None:
    """A heartbeat is seen although it dispatches nothing."""
    parser = Parser()
    parser.feed(b": heartbeat\n\n:\n\n")
    assert parser.comments == 2


def test_raw_is_the_frame_without_comments_retry_and_line_end_kind() -> None:
    """What must be equal on every replica is equal; what may differ is left out."""
    plain = Parser().feed(b"id: 1\nevent: x\ndata: a\n\n")
    noisy = Parser().feed(b": hello\r\nretry: 5\r\nid: 1\r\nevent: x\r\ndata: a\r\n\r\n")
    assert [frame.raw for frame in plain] == [frame.raw for frame in noisy]


STREAM = (
    "\ufeff: hi\r\nretry: 5\r\n\r\nid: 1-0\nevent: token\ndata: {}\n\n"
    "id: 1-1\revent: token\rdata: ä€😀\r\rdata: x\r\n\r\n"
).encode()


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_the_way_bytes_are_cut_does_not_matter(places: list[int]) -> None:
    """Sockets cut anywhere: inside a character, between CR and LF, inside the byte order mark."""
    parser, frames = Parser(), list[Frame]()
    edges = [0, *sorted(places), len(STREAM)]
    for begin, end in itertools.pairwise(edges):
        frames += parser.feed(STREAM[begin:end])
    assert Parser().feed(STREAM) == frames
    assert len(frames) == 3


def test_an_endless_block_is_refused() -> None:
    """A server that never ends an event must not fill the test's memory."""
    parser = Parser()
    parser.feed(b"data: " + b"x" * 5_000_000)
    with pytest.raises(ValueError, match="larger"):
        parser.feed(b"x" * 5_000_000)
