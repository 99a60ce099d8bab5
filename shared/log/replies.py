"""Owns what our scripts reply: one code per case, and what follows it.

Pure. The codes are the scripts' own (`lua/*.lua`); PROTOCOL.md says when a script gives which. A script on the log
replies with an array whose first element is the code. Each class below reads the replies of some verbs. Its `parse`
raises ValueError for an unknown code: then Redis runs another version of the script.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple, Self

from outlive.shared.model.cursor import Cursor

Reply = Sequence[bytes]
"""What redis-py gives for a script's array."""


class ReplyCode(StrEnum):
    """First element of the reply of every script on the log."""

    OK = "OK"
    NEW = "NEW"
    EXISTING = "EXISTING"
    CONFLICT = "CONFLICT"
    GONE = "GONE"
    HELD = "HELD"
    CLOSED = "CLOSED"
    EXHAUSTED = "EXHAUSTED"
    INTERRUPTED = "INTERRUPTED"
    DUP = "DUP"
    GAP = "GAP"
    FENCED = "FENCED"
    BEHIND = "BEHIND"
    ALREADY = "ALREADY"
    NOT_DUE = "NOT_DUE"
    PAST_DEADLINE = "PAST_DEADLINE"


LOST: Final = frozenset({ReplyCode.FENCED, ReplyCode.CLOSED, ReplyCode.GONE})
"""After one of these a worker never writes to this generation again (R6)."""


def code_of(reply: Reply) -> ReplyCode:
    """The code of a reply that carries nothing else, or of which nothing else is needed."""
    return ReplyCode(reply[0].decode())


class CreateReply(NamedTuple):
    """To create. NEW and EXISTING carry the rest; `created_at` is Redis time in seconds."""

    code: ReplyCode
    status: str = ""
    created_at: float = 0.0

    @classmethod
    def parse(cls, reply: Reply) -> Self:
        """`[NEW | EXISTING, status, created in ms]` or `[CONFLICT | GONE]`."""
        code = code_of(reply)
        return cls(code) if len(reply) == 1 else cls(code, reply[1].decode(), int(reply[2]) / 1000)


class TakeReply(NamedTuple):
    """To take. OK carries everything; EXHAUSTED and INTERRUPTED carry `reason`, why the previous attempt ended."""

    code: ReplyCode
    epoch: int = 0
    attempt: int = 0
    counted: int = 0
    remaining_s: float = 0.0
    """Until the generation's deadline; zero or less when it has passed."""
    age_s: float = 0.0
    """Since `create`."""
    reason: str = ""
    may_restart: bool = True
    """Whether another attempt is wanted when this one breaks off (`on_interrupt`)."""
    trace: str = ""
    """The W3C traceparent that came with the request for the generation, or empty."""
    request: bytes = b""

    @property
    def cursor(self) -> Cursor:
        """Of the `attempt` event that take has written."""
        return Cursor(self.epoch, 0)

    @classmethod
    def parse(cls, reply: Reply) -> Self:
        """`[OK, epoch, attempt, counted, remaining in ms, age in ms, reason, on_interrupt, trace, request]`,
        `[EXHAUSTED | INTERRUPTED, reason]`, or `[HELD | CLOSED | GONE]`."""
        code = code_of(reply)
        if code is not ReplyCode.OK:
            return cls(code, reason=reply[1].decode() if len(reply) > 1 else "")
        _, epoch, attempt, counted, remaining_ms, age_ms, reason, on_interrupt, trace, request = reply
        return cls(
            code,
            epoch=int(epoch),
            attempt=int(attempt),
            counted=int(counted),
            remaining_s=int(remaining_ms) / 1000,
            age_s=int(age_ms) / 1000,
            reason=reason.decode(),
            may_restart=on_interrupt == b"restart",
            trace=trace.decode(),
            request=request,
        )


class SeqReply(NamedTuple):
    """To append and renew."""

    code: ReplyCode
    seq: int = -1
    """The last seq of this epoch in the log (OK, DUP, GAP); -1 with all other codes."""
    since_cancel_s: float | None = None
    """With CLOSED after a cancel: how long ago that was, by Redis's clock."""

    @classmethod
    def parse(cls, reply: Reply) -> Self:
        """`[OK | DUP | GAP, seq]`, `[CLOSED, ms since the cancel]`, or `[CLOSED | GONE | FENCED | BEHIND]`."""
        code = code_of(reply)
        if len(reply) == 1:
            return cls(code)
        if code is ReplyCode.CLOSED:
            return cls(code, since_cancel_s=int(reply[1]) / 1000)
        return cls(code, int(reply[1]))


class DeliveryReply(NamedTuple):
    """To release and requeue. OK carries the number of the delivery to enqueue; EXHAUSTED and INTERRUPTED carry
    `reason`, as for take."""

    code: ReplyCode
    delivery: int = 0
    reason: str = ""

    @classmethod
    def parse(cls, reply: Reply) -> Self:
        """`[OK, delivery]`, `[EXHAUSTED | INTERRUPTED, reason]`, or any other code alone."""
        code = code_of(reply)
        if code is ReplyCode.OK:
            return cls(code, delivery=int(reply[1]))
        return cls(code, reason=reply[1].decode() if len(reply) > 1 else "")


class FinishReply(NamedTuple):
    """To fail and cancel. OK and ALREADY carry the status that the generation ended with."""

    code: ReplyCode
    status: str = ""

    @classmethod
    def parse(cls, reply: Reply) -> Self:
        """`[OK | ALREADY, status]` or `[GONE]`."""
        return cls(code_of(reply), reply[1].decode() if len(reply) > 1 else "")
