"""Owns the trace a generation belongs to: from whoever asked for it, through queue and worker, to the provider.

What is here works without OpenTelemetry: a traceparent (W3C Trace Context) is checked and handed on as
it came, and its id stands in the logs. With `OUTLIVE_TRACES` the same verbs record spans (`otel.py`).
Spans are per request, attempt and question to the provider; never per token, and never one of a
viewer's response, whose length says nothing.
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
    """A piece of work in a trace. This one is not recorded; children of it are itself."""

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent
        """To hand on; empty: none."""

    @property
    def trace_id(self) -> str:
        return self.traceparent[_ID]

    @contextmanager
    def child(self, _name: str, _kind: Kind, _attributes: Mapping[str, Value]) -> Iterator["Span"]:
        """Work that is part of this; what escapes from inside marks it as failed."""
        yield self

    def set(self, name: str, value: Value) -> None:
        """Say more of it."""

    def fail(self, why: str) -> None:
        """It did not do what it should; `why` is a code."""


class Traces:
    """Where traces begin and go on. These record nothing."""

    def under(self, traceparent: str) -> Span:
        """Whose children belong to that trace; empty: to a new one."""
        return Span(traceparent)

    def close(self) -> None:
        """Send what is not sent yet. Waits a little."""


def traces_of(process: str, *, recorded: bool) -> Traces:
    """What this process shall trace with. Raises `SettingsError` when it cannot."""
    if not recorded:
        return Traces()
    try:
        # Only here: who does not trace need not have it, nor wait for its import.
        from outlive.shared.telemetry.otel import RecordedTraces  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError("OUTLIVE_TRACES needs OpenTelemetry: install outlive[otel].") from error
    return RecordedTraces(process)


def checked(traceparent: str | None) -> str:
    """What a caller sent, if it is one; else nothing. A bad one is no error: the answer matters more."""
    return traceparent if traceparent is not None and _TRACEPARENT.fullmatch(traceparent) else ""
