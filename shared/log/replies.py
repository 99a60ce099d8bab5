"""Owns what the log may answer: one word per case, and the shape of each reply.

Pure. The words are the scripts' own (`lua/*.lua`); PROTOCOL.md says when each is given.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from outlive.shared.model.cursor import Cursor


class ReplyCode(StrEnum):
    """First element of every script's reply."""

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
"""Answers after which a worker never writes to this generation again (R6)."""


class CreateReply(NamedTuple):
    """NEW and EXISTING carry the rest. `created_at` is Redis time in seconds."""

    answer: ReplyCode
    status: str = ""
    created_at: float = 0.0


class TakeReply(NamedTuple):
    """OK carries all; EXHAUSTED and INTERRUPTED carry `reason`, why the former attempt ended."""

    answer: ReplyCode
    epoch: int = 0
    attempt: int = 0
    counted: int = 0
    remaining_s: float = 0.0
    age_s: float = 0.0
    """Since `create`."""
    reason: str = ""
    may_restart: bool = True
    """Whether another attempt is wanted when this one breaks off (`on_interrupt`)."""
    trace: str = ""
    """The W3C traceparent of whoever asked for the generation; empty: none."""
    request: bytes = b""

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, 0)


class SeqReply(NamedTuple):
    """To append and renew: the last seq the log holds of this epoch (OK, DUP, GAP)."""

    answer: ReplyCode
    seq: int = -1


class DeliveryReply(NamedTuple):
    """To release and requeue: OK carries the number of the delivery to enqueue."""

    answer: ReplyCode
    delivery: int = 0
    reason: str = ""


class FinishReply(NamedTuple):
    """OK and ALREADY carry the status the generation ended with."""

    answer: ReplyCode
    status: str = ""
