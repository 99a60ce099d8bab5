"""A provider's bytes cut into events, wherever the network cuts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlive.shared.errors import UpstreamRefused
from outlive.worker.upstream.sse_parser import MAX_BYTES, SseParser

KILOBYTE = b"x" * 1024
EVENT = b"data: " + KILOBYTE


def _all(*pieces: bytes) -> list[bytes]:
    parser = SseParser()
    return [event.data for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a \n\n", [b" a "]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"event: error\nid: 7\nretry: 3\ndata: a\nunheard: of\n\n", [b"a"]),
        (b": comment\n\ndata: a\n\n: another\ndata: b\n\n", [b"a", b"b"]),
        (b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [b"a", b"b"]),
        (b"event: ping\n\ndata\n\ndata:\n\n", []),
        (b"database: a\n\n", []),
        (b"data: a\n\ndata: half", [b"a"]),
        (b"data: a\n", []),
        (b"data: \xf0\x9f\x98\x80: b\n\n", [b"\xf0\x9f\x98\x80: b"]),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.rule("R15")
def test_the_data_of_whole_events_is_found_however_they_are_cut(stream: bytes, data: list[bytes], end: bytes) -> None:
    """By the rules of event streams: fields, comments, blank lines, and three ways to end a line."""
    spelled = stream.replace(b"\n", end)
    wanted = [one.replace(b"\r", b"\n") for one in data]
    assert _all(spelled) == wanted
    assert _all(*(spelled[i : i + 1] for i in range(len(spelled)))) == wanted
    for cut in range(len(spelled)):
        assert _all(spelled[:cut], spelled[cut:]) == wanted


@given(st.lists(st.sampled_from([b"data: a", b"data", b":c", b"x: y", b"\n", b"\r\n", b"\r", b""])), st.randoms())
def test_cuts_change_nothing(words: list[bytes], random: st.DataObject) -> None:
    """Whatever a provider sends."""
    stream = b"".join(words)
    cuts = sorted(random.randrange(len(stream) + 1) for _ in range(4))  # type: ignore[attr-defined]
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert _all(*(piece for piece in pieces if piece)) == _all(stream)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
@pytest.mark.parametrize("cut", range(4))
@pytest.mark.rule("R29")
def test_events_of_any_number_pass(end: bytes, cut: int) -> None:
    """However their ends are spelled, and wherever the network cuts them."""
    events = (EVENT + end) * 8
    events_data = _all(events[:cut], *[events[cut:] + events[:cut]] * 300, events[cut:])
    assert sum(map(len, events_data)) == 301 * 8 * 1024 > 2 * MAX_BYTES


@pytest.mark.parametrize("line", [KILOBYTE, EVENT + b"\n", b": comment\r\n" * 100])
@pytest.mark.rule("R29")
def test_an_event_without_end_is_cut_off(line: bytes) -> None:
    """One line, many lines, and comments that never come to a blank line."""
    parser = SseParser()
    for _ in range(MAX_BYTES // len(line.replace(b"\r", b""))):
        assert parser.feed(line) == []
    with pytest.raises(UpstreamRefused) as caught:
        parser.feed(line)
    assert caught.value.failed_code == "upstream_protocol"


@pytest.mark.parametrize("cut", range(4))
@pytest.mark.rule("R15")
def test_a_byte_order_mark_before_the_stream_is_passed_over(cut: int) -> None:
    """Wherever the network cuts it; without that the first event would be lost in silence."""
    stream = b"\xef\xbb\xbfdata: a\n\ndata: b\n\n"
    assert _all(stream[:cut], stream[cut:]) == [b"a", b"b"]


@pytest.mark.rule("R15")
def test_events_with_one_newline_between_them_are_events() -> None:
    """As soon as the next one begins, however they are cut."""
    stream = b'data: {"a": {}}\ndata: {"b": 1}\ndata: [DONE]\n\n'
    wanted = [b'{"a": {}}', b'{"b": 1}', b"[DONE]"]
    assert _all(stream) == wanted
    for cut in range(len(stream)):
        assert _all(stream[:cut], stream[cut:]) == wanted
    assert _all(b'data: {"a": {}}\ndata: {"b": 1}\n') == [b'{"a": {}}']


def test_one_value_over_several_lines_stays_one_event() -> None:
    """Pretty-printed JSON never has `}` before `{` without a comma."""
    assert _all(b'data: {"a": [{\ndata: },\ndata: {}]}\n\n') == [b'{"a": [{\n},\n{}]}']


@pytest.mark.rule("R15")
def test_the_last_event_needs_no_blank_line() -> None:
    """Servers that hang up behind their last word have said it."""
    parser = SseParser()
    assert parser.feed(b"data: a\n\nevent: error\ndata: b\n") == [(b"", [b"a"])]
    assert parser.end() == [(b"error", [b"b"])]
    assert parser.end() == []


def test_an_error_without_its_field_name_is_an_event() -> None:
    """A server that dies writes its error as it is, also without a blank line behind it."""
    parser = SseParser()
    (text,) = parser.feed(b'data: {"a":1}\n\n{"error":"out of')
    assert text.data == b'{"a":1}'
    assert parser.feed(b' memory"}') == []
    assert [event.data for event in parser.end()] == [b'{"error":"out of memory"}']
