"""Owns the trace of a generation: from the client that asked for it, through queue and worker, to the provider.

This file works without OpenTelemetry: it checks a traceparent (W3C Trace Context) and passes it on unchanged, and logs
have its id. With `OUTLIVE_TRACES` the same verbs record spans (`otel.py`). There is a span per request, per attempt and
per request to the provider; never one per token, and never one for a viewer's response, whose duration means nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Literal

from outlive.shared.errors import SettingsError

Value = str | int | float | bool | Sequence[str]
Kind = Literal["server", "consumer", "client"]

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_ID: Final = slice(3, 35)


class Span:
    """A piece of work in a trace. This class records nothing, and is its own child."""

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent
        """To pass on, or empty."""

    @property
    def trace_id(self) -> str:
        """32 hex digits, or empty."""
        return self.traceparent[_ID]

    @contextmanager
    def child(self, _name: str, _kind: Kind, _attributes: Mapping[str, Value]) -> Iterator["Span"]:
        """A part of this work. An exception that leaves it marks it as failed."""
        yield self

    def set(self, name: str, value: Value) -> None:
        """Add an attribute."""

    def fail(self, code: str) -> None:
        """Mark as failed with this code."""


class Traces:
    """Where traces begin and continue. This class records nothing."""

    def under(self, traceparent: str) -> Span:
        """A span whose children belong to that trace; with an empty traceparent, to a new one."""
        return Span(traceparent)

    def close(self) -> None:
        """Send the spans that are left. Waits at most a few seconds."""


def traces_of(process: str, *, recorded: bool) -> Traces:
    """The traces of this process. Raises `SettingsError` when they should be recorded but OpenTelemetry is missing."""
    if not recorded:
        return Traces()
    try:
        # Imported only here: a process that does not trace needs neither the package nor the time to import it.
        from outlive.shared.telemetry.otel import RecordedTraces  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError("OUTLIVE_TRACES needs OpenTelemetry, which is missing; install outlive[otel].") from error
    return RecordedTraces(process)


def checked(traceparent: str | None) -> str:
    """The traceparent that a client sent if it is valid, else empty. An invalid one raises nothing, because the answer
    matters more."""
    return traceparent if traceparent is not None and _TRACEPARENT.fullmatch(traceparent) else ""
