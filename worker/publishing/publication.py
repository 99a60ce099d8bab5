"""Owns one attempt's right to write to its log: what it may add, how long it waits, and the loss of that right.

Between the attempt, which adds and waits here, and the publisher, which carries batches to the log and hands back the
replies. Knows neither Redis nor the upstream.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from outlive.shared.errors import OwnershipLost
from outlive.shared.log.eventlog import Batch, Renewal
from outlive.shared.log.replies import LOST, ReplyCode, SeqReply, TakeReply
from outlive.shared.model.events import Delta, Json, Terminal, ToolCallDone, ToolResult, Turn, Whole
from outlive.worker.publishing.append_metrics import AppendMetrics
from outlive.worker.publishing.outbox import Outbox, OutboxLimits
from outlive.worker.timers import Clock

Key = tuple[str, int]
"""Generation and epoch. Not the generation alone: a worker that was stopped for longer than a lease may take its own
generation again, while the former attempt does not know yet."""


class Totals(NamedTuple):
    """What a terminal says of its attempt, the terminal itself included."""

    chars: int
    """Unicode code points of the answer's text."""
    events: int


class Publication:
    """One attempt, as long as it writes. `lost` is set when it may never write again."""

    def __init__(
        self,
        outbox: Outbox,
        token: str,
        taken: TakeReply,
        *,
        group: str,
        wake: Callable[["Publication"], None],
        metrics: AppendMetrics,
        clock: Clock,
    ) -> None:
        """`group` has its log; `wake` is called whenever the outbox has something to flush."""
        self.group = group
        self.generation_id = outbox.generation_id
        self.epoch = outbox.epoch
        self.key: Key = (outbox.generation_id, outbox.epoch)
        self.token = token
        self.taken = taken
        self.terminal: Terminal | None = None
        self.lost = asyncio.Event()
        self.reply: ReplyCode | None = None
        """Why it may not write any more."""
        self._outbox = outbox
        self._wake = wake
        self._metrics = metrics
        self._clock = clock
        self._ends_at = clock() + taken.remaining_s
        self._full_since: float | None = None
        self._cancelled_at: float | None = None
        self._moved = asyncio.Event()

    # -- what the attempt does ---------------------------------------------------------------

    def add(self, event: Delta | Whole) -> None:
        """Accept one event at once. Ask `is_full` before the next, and `wait_for_room` if so.

        Raises `OwnershipLost`, `OutputTooLarge`.
        """
        self._check()
        if isinstance(event, ToolCallDone | ToolResult | Turn):
            self._outbox.add_whole(event)
        else:
            self._outbox.add(event)
        self._wake(self)

    def add_json(self, step: Json) -> None:
        """Accept one step of a JSON value; ask for room in the same way. Raises `OwnershipLost`."""
        self._check()
        self._outbox.add_json(step)
        self._wake(self)

    def end(self, terminal: Terminal) -> None:
        """Accept the last event. Raises `OwnershipLost`."""
        self._check()
        self._outbox.close(terminal)
        self.terminal = terminal
        self._wake(self)

    async def close(self, terminal: Terminal) -> None:
        """Write the last event and wait until the log has it. Raises `OwnershipLost`."""
        self.end(terminal)
        await self.wait_until_acknowledged()

    async def wait_for_room(self) -> None:
        """Wait until an event may be added. This wait is what holds the provider back. Raises `OwnershipLost`."""
        while self._outbox.is_full:
            await self._wait_for_reply()

    async def wait_until_acknowledged(self) -> None:
        """Wait until the log has everything that was added. Raises `OwnershipLost`."""
        while not self._outbox.is_acknowledged:
            await self._wait_for_reply()

    def totals(self) -> Totals:
        """The totals for a terminal that is added now."""
        return Totals(self._outbox.chars, self._outbox.events_with_terminal())

    @property
    def output_tokens(self) -> int:
        """The estimate for everything added so far."""
        return self._outbox.output_tokens

    @property
    def log_bytes(self) -> int:
        """About as many bytes of Redis as this attempt's events take."""
        return self._outbox.log_bytes

    @property
    def limits(self) -> OutboxLimits:
        return self._outbox.limits

    @property
    def remaining_s(self) -> float:
        """Until the generation's deadline, by a clock that cannot jump."""
        return self._ends_at - self._clock()

    @property
    def is_full(self) -> bool:
        """As much waits for the log as may: the next event needs `wait_for_room`."""
        return self._outbox.is_full

    @property
    def is_acknowledged(self) -> bool:
        """The log has everything that was added."""
        return self._outbox.is_acknowledged

    @property
    def is_over(self) -> bool:
        """The last event is in the log."""
        return self.terminal is not None and self._outbox.is_acknowledged

    @property
    def is_closed(self) -> bool:
        """The log has an end, by us or by somebody else."""
        return self.is_over or self.reply in (ReplyCode.CLOSED, ReplyCode.GONE)

    @property
    def since_cancel_s(self) -> float | None:
        """How long ago a cancel closed the log; None if it ended otherwise, or not yet."""
        return None if self._cancelled_at is None else self._clock() - self._cancelled_at

    # -- what the publisher does -------------------------------------------------------------

    def next_batch(self) -> Batch | None:
        """What to append next; None when the log has everything. Asking again gives the same events, and those that
        came meanwhile."""
        return self._outbox.next_batch()

    def renewal(self) -> Renewal:
        """The lease to renew."""
        return Renewal(self.generation_id, self.epoch, self.remaining_s)

    def on_append(self, batch: Batch) -> None:
        """The log has taken this batch. Its reply goes to `on_reply`."""
        self._metrics.appended(batch, self._clock())

    def on_reply(self, reply: SeqReply) -> bool:
        """Act on the log's reply to an append or a renewal. False after BEHIND: the beginning of the attempt must be
        written again first (`EventLog.heal`), and `rewind` called then."""
        if reply.code is ReplyCode.BEHIND:
            return False
        if reply.code not in LOST:
            self._full_since = None
            self._outbox.acknowledge(reply.seq)
            self._moved.set()
        elif not (reply.code is ReplyCode.CLOSED and self.is_over):
            self.lose(reply.code, since_cancel_s=reply.since_cancel_s)
        return True

    def is_confirmed_by(self, reply: SeqReply) -> bool:
        """Whether a renewal's reply shows nothing new. An append in flight may overtake a renewal, so only a seq below
        what was acknowledged is a loss."""
        return reply.code is ReplyCode.OK and reply.seq >= self._outbox.acknowledged_seq

    def rewind(self) -> None:
        """The log has only the beginning of the attempt: append everything again."""
        self._outbox.acknowledge(0)
        self._moved.set()

    def on_full(self) -> float:
        """Redis refused a batch because it is full: for how many seconds it has done so by now."""
        now = self._clock()
        if self._full_since is None:
            self._full_since = now
        return now - self._full_since

    def lose(self, reply: ReplyCode, *, since_cancel_s: float | None = None) -> None:
        """It may never write again: from now on adding and waiting raise `OwnershipLost`. `since_cancel_s`: how long
        ago a cancel closed the log."""
        self.reply = reply
        if since_cancel_s is not None:
            self._cancelled_at = self._clock() - since_cancel_s
        self.lost.set()
        self._moved.set()

    async def _wait_for_reply(self) -> None:
        self._moved.clear()
        await self._moved.wait()
        self._check()

    def _check(self) -> None:
        if self.reply is not None:
            raise OwnershipLost(self.reply)
