"""Owns the cutting of a provider's event stream: bytes in, events out.

Pure. It follows the WHATWG rules for event streams, and adds what real servers do: a byte order mark, events
with a single newline between them, a last event without its blank line. The SDK's own decoder takes one line at a time
through four generators: 25 us of CPU a chunk where this takes 2, and it has no bound. Knows nothing of what the data
means.
"""

import re
from typing import Final, NamedTuple

from outlive.shared.errors import UpstreamRefused

MAX_BYTES: Final = 1_048_576
"""Of one event. Events of chat completions are below 1 kB. A megabyte leaves room for a whole answer
in one event, and 100 of them still fit into a worker."""

_BOM: Final = b"\xef\xbb\xbf"
_RUN_ON: Final = re.compile(rb"\}\n(?=(?:data|event): ?(?:\{|\[DONE\]|[a-z]))")
"""Where one event ends and the next begins without a blank line. No JSON value has this inside it: between
`}` and `{` there is always a comma."""
_RUN_ON_BYTES: Final = 16
_DATA: Final = b"data: "
_END: Final = b"\n\n"


class SseEvent(NamedTuple):
    """One event of the stream. `lines` are the values of its `data` fields; `name` is empty if it has none."""

    name: bytes
    lines: list[bytes]

    @property
    def data(self) -> bytes:
        """The data as the specification has it."""
        return b"\n".join(self.lines)


class SseParser:
    """One body, as far as it has come."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._after_cr = False
        self._has_begun = False

    def feed(self, piece: bytes) -> list[SseEvent]:
        """The events that end in this piece. Raises `UpstreamRefused` when one is too large: a second request
        would get the same."""
        if not self._has_begun:
            piece = self._without_bom(piece)
        if self._after_cr or b"\r" in piece:
            piece = self._with_plain_ends(piece)
        if not self._held and _is_one(piece):
            return [SseEvent(b"", [piece[len(_DATA) : -len(_END)]])]
        # Only the new bytes are searched, or a large event in small pieces would cost its square.
        searched = max(0, len(self._held) - _RUN_ON_BYTES)
        self._held += piece
        if self._held.find(b"}\n", searched) >= 0:
            self._held[searched:] = _RUN_ON.sub(b"}\n\n", self._held[searched:])
        blocks: list[bytes] = []
        if (end := self._held.rfind(_END, searched)) >= 0:
            blocks = bytes(self._held[:end]).split(_END)
            del self._held[: end + len(_END)]
        check_size(max(map(len, (self._held, *blocks))))
        return [event for block in blocks if (event := _event_of(block)).lines]

    def end(self) -> list[SseEvent]:
        """The last event, if the body ended without the blank line behind it."""
        block, self._held = bytes(self._held).strip(b"\n"), bytearray()
        event = _event_of(block)
        return [event] if event.lines else []

    def _without_bom(self, piece: bytes) -> bytes:
        """The first bytes are held until it is clear whether they are a byte order mark."""
        self._held += piece
        if len(self._held) < len(_BOM) and _BOM.startswith(self._held):
            return b""
        first, self._held = bytes(self._held), bytearray()
        self._has_begun = True
        return first.removeprefix(_BOM)

    def _with_plain_ends(self, piece: bytes) -> bytes:
        """With LF for each CR, LF, or CR and LF. A CR at the end counts at once, and then an LF that
        begins the next piece is left out."""
        if self._after_cr and piece:
            piece = piece.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = self._after_cr or piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def check_size(event_bytes: int) -> None:
    """Raises `UpstreamRefused` for more than one event may hold."""
    if event_bytes > MAX_BYTES:
        raise UpstreamRefused("upstream_protocol", "The provider sent more at once than an event may hold: 1 MiB.")


def _is_one(piece: bytes) -> bool:
    """Whether it is one whole event of one line, as nearly all pieces are: 2 us saved of each."""
    size = len(piece) - len(_END)
    return (
        piece.find(b"\n") == size
        and len(_DATA) < size <= MAX_BYTES
        and piece.startswith(_DATA)
        and piece.endswith(_END)
    )


def _event_of(block: bytes) -> SseEvent:
    """One event, without the blank line at its end."""
    if block.startswith(_DATA) and b"\n" not in block:
        return SseEvent(b"", [block[len(_DATA) :]])
    if block.startswith(b"{"):
        # An error that a dying server writes into its stream as it is.
        return SseEvent(b"", [block])
    fields = [line.partition(b":") for line in block.split(b"\n")]
    lines = [value.removeprefix(b" ") for name, _, value in fields if name == b"data"]
    names = [value.removeprefix(b" ") for name, _, value in fields if name == b"event"]
    return SseEvent(names[-1] if names else b"", [] if lines == [b""] else lines)
