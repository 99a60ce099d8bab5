"""Owns what a log must be like, and so what each of its answers must be.

A second telling of PROTOCOL.md's tables, in the fewest words. Pure.
"""

from dataclasses import dataclass
from typing import Final

from outlive.shared.log.eventlog import Batch
from outlive.shared.log.replies import ReplyCode, SeqReply
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.model.events import EventType

UNKNOWN: Final = "unknown"
OPEN: Final = "open"
DELETED: Final = "deleted"


@dataclass(frozen=True)
class Known:
    """What the log must be like now. A failover sets it back, like the log itself."""

    status: str = UNKNOWN
    """`unknown`, `open`, a terminal's type, or `deleted`."""
    last: Cursor = START
    owner: str = ""
    """The token of the take that owns the epoch."""
    counted: int = 0
    leased: bool = False
    strayed: bool = False
    """The lease is by a clock that is not the server's: whoever sweeps first gives its owner half of one."""
    released: bool = False
    deadline_h: int = 0
    """Hours the deadline was moved by clocks that differ; below zero it has passed."""
    grace: bool | None = None
    """Whether the owner's time to say otherwise still runs; None when it was given none."""

    @property
    def over(self) -> ReplyCode | None:
        """What workers are told because there is nothing to write to."""
        if self.status in (UNKNOWN, DELETED):
            return ReplyCode.GONE
        return None if self.status == OPEN else ReplyCode.CLOSED

    def fence(self, epoch: int) -> ReplyCode | None:
        """What an attempt of this epoch is told instead of being heard."""
        if self.over or epoch == self.last.epoch:
            return self.over
        return ReplyCode.FENCED if epoch < self.last.epoch else ReplyCode.BEHIND

    def to_append(self, batch: Batch) -> SeqReply:
        """The answer due to a batch."""
        last, seq = batch.first_seq + len(batch.entries) - 1, self.last.seq
        if self.over is ReplyCode.CLOSED and batch.epoch == self.last.epoch and last <= seq:
            return SeqReply(ReplyCode.DUP, seq)
        if fence := self.fence(batch.epoch):
            return self._refusal(fence)
        if batch.first_seq > seq + 1:
            return SeqReply(ReplyCode.GAP, seq)
        return SeqReply(ReplyCode.DUP, seq) if last <= seq else SeqReply(ReplyCode.OK, last)

    def to_renew(self, epoch: int) -> SeqReply:
        """The answer due to a renewal."""
        fence = self.fence(epoch)
        return self._refusal(fence) if fence else SeqReply(ReplyCode.OK, self.last.seq)

    def _refusal(self, fence: ReplyCode) -> SeqReply:
        """After a cancel with the time since then, which the model takes as zero."""
        is_cancelled = fence is ReplyCode.CLOSED and self.status == EventType.CANCELLED
        return SeqReply(fence, since_cancel_s=0.0 if is_cancelled else None)

    def to_owner_of(self, epoch: int) -> ReplyCode:
        """The answer due to a heal or a release: an epoch the log has lost is still its owner's."""
        fence = self.fence(epoch)
        return fence if fence and fence is not ReplyCode.BEHIND else ReplyCode.OK

    def to_requeue(self) -> ReplyCode | None:
        """The answer due to a sweeper; None when it depends on the attempts made."""
        if self.over is None and self.deadline_h < 0:
            return ReplyCode.PAST_DEADLINE if self.grace is False else ReplyCode.NOT_DUE
        return self.over or (ReplyCode.NOT_DUE if self.leased or self.strayed else None)
