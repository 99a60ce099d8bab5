"""Owns the quirks of bytes: those between the chunks of a stream, and those of its head.

Pure; works on frames. A frame is the bytes of one event with the blank line behind it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from outlive.deploy.demo_model.quirks.chunk_rewrites import DONE, Item, Rewrite

Headers = list[tuple[bytes, bytes]]

_TYPES: Final[Mapping[str, bytes]] = {
    "json_type": b"application/json; charset=utf-8",
    "html_type": b"text/html; charset=UTF-8",
    "plain_type": b"text/plain",
    "bytes_type": b"application/octet-stream",
    "whole": b"application/json",
}
_EXTRA: Final[Mapping[str, tuple[bytes, bytes]]] = {
    "encoding_none": (b"content-encoding", b"none"),
    "large_headers": (b"content-security-policy", b"a" * 9_000),
}
_PINGS: Final = (
    b": OPENROUTER PROCESSING\n\n",
    b"data: {}\n\n",
    b"data: null\n\n",
    b"event: ping\ndata: keep-alive\n\n",
    b'event: ping\ndata: {"type": "ping"}\n\n',
    b"event: message\n\n",
    b'data: {"id":"c","object":"chat.completion.chunk","choices":null}\n\n',
    b'data: {"id":"c","object":"chat.completion.chunk","choices":[]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":null}]}\n\n',
)
_BLANK_LINES: Final = b"\n\n\n"
_BOM: Final = b"\xef\xbb\xbf"


def _each(change: Callable[[bytes], bytes]) -> Rewrite:
    def rewrite(items: Iterator[Item]) -> Iterator[Item]:
        return (change(item) if isinstance(item, bytes) else item for item in items)

    return rewrite


def _before(prefix: bytes) -> Rewrite:
    def rewrite(items: Iterator[Item]) -> Iterator[Item]:
        is_first = True
        for item in items:
            is_frame = isinstance(item, bytes)
            yield prefix + item if is_frame and is_first else item
            is_first = is_first and not is_frame

    return rewrite


def _pings(items: Iterator[Item]) -> Iterator[Item]:
    """All of them before the first frame, then one of them before each."""
    count = 0
    for item in items:
        if isinstance(item, bytes):
            yield b"".join(_PINGS) if count == 0 else _PINGS[count % len(_PINGS)]
            count += 1
        yield item


def _run_on(items: Iterator[Item]) -> Iterator[Item]:
    """One newline behind each event, two behind the last."""
    held: bytes | None = None
    for item in items:
        if held is not None:
            yield held.removesuffix(b"\n")
            held = None
        if isinstance(item, bytes):
            held = item
        else:
            yield item
    if held is not None:
        yield held


def _no_last_newline(items: Iterator[Item]) -> Iterator[Item]:
    """No `[DONE]`, and nothing behind the last event."""
    held: bytes | None = None
    for item in items:
        if item == DONE:
            continue
        if held is not None:
            yield held
            held = None
        if isinstance(item, bytes):
            held = item
        else:
            yield item
    if held is not None:
        yield held.rstrip(b"\n")


FRAMES: Final[Mapping[str, Rewrite]] = {
    "pings": _pings,
    "crlf": _each(lambda frame: frame.replace(b"\n", b"\r\n")),
    "run_on": _run_on,
    "no_last_newline": _no_last_newline,
    "blank_lines": _before(_BLANK_LINES),
    "bom": _before(_BOM),
}
HEADS: Final = (*_TYPES, *_EXTRA)
"""Quirks of the head. `whole` is one of the shapes too."""


def headers(quirks: tuple[str, ...], default: Headers) -> Headers:
    """The headers of the stream."""
    content_type = next((_TYPES[quirk] for quirk in quirks if quirk in _TYPES), None)
    first = default if content_type is None else [(b"content-type", content_type)]
    return [*first, *(_EXTRA[quirk] for quirk in quirks if quirk in _EXTRA)]
