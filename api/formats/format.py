"""Owns what a wire is: one way of telling logs to viewers.

A wire is a translator, log entries in, frames out, and the few words it needs where the log says
nothing. Pure and deterministic: the same log gives the same frames on every replica, so a viewer
may go on anywhere. Knows neither feeds nor HTTP.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from outlive.shared.log.reader import Logged
from outlive.shared.model.cursor import Cursor


class Head(NamedTuple):
    """What was asked for, as stored beside the log: it never changes."""

    request: bytes
    metadata: bytes


class FrameNumber(NamedTuple):
    """A place on a wire that numbers its frames: so many have been seen, from the first on."""

    frames: int


ResumePoint = Cursor | FrameNumber
"""What a viewer has seen; it goes on with what comes after it."""


class Translator(Protocol):
    """One log being told. Whatever it knows, it knows from the events it was given."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be told, though the log may go on."""

    def tell(self, event: Logged) -> Sequence[bytes]:
        """The frames of the log's next event: none, one or several."""


class Format(Protocol):
    """One of each; compared by identity."""

    @property
    def is_stateless(self) -> bool:
        """Whether an event's frames depend on that event alone, so that telling may begin anywhere."""

    @property
    def heartbeat(self) -> bytes:
        """Says to a quiet viewer that somebody is there."""

    def translator(self, head: Head) -> Translator:
        """To be given the log from its first event on."""

    def joined(self, events: Sequence[Logged], frames: Sequence[bytes]) -> bytes:
        """One write for these events, whose frames are known."""

    def opening(self, retry_s: float) -> bytes:
        """The first bytes, so that proxies and clients see an open stream before there is an event."""

    def farewell(self, retry_s: float) -> bytes:
        """The last bytes where the log has not ended: the viewer shall come again."""

    def reset(self, reason: str) -> bytes | None:
        """Makes a viewer forget everything, before all is told again; None: this wire cannot."""

    def lost(self, reason: str) -> bytes:
        """The last bytes where a viewer cannot be continued, on a wire without `reset`."""
