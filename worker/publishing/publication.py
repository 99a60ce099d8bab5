"""Owns one attempt's place in the log: what it may say, how long it waits, and that it was lost.

Between the attempt, which talks and waits here, and the publisher, which carries what was said and
tells how far the log is. Knows neither Redis nor the upstream.
"""

import asyncio
from collections.abc import Callable

from outlive.shared.errors import OwnershipLost
from outlive.shared.log.replies import ReplyCode, TakeReply
from outlive.shared.model.events import Delta, Json, Terminal, ToolCallDone, ToolResult, Whole
from outlive.worker.publishing.outbox import Outbox


class Publication:
    """One attempt's place to write. `lost` is set when it may never write again."""

    def __init__(self, wake: Callable[["Publication"], None], outbox: Outbox, token: str, taken: TakeReply) -> None:
        """`wake` is told that the outbox has something to flush."""
        self.outbox = outbox
        self.taken = taken
        self.token = token
        self.opened_at = asyncio.get_running_loop().time()
        self._ends_at = self.opened_at + taken.remaining_s
        self.appended_at: float | None = None
        """Loop time of the last append that was accepted."""
        self.appended_tokens = 0
        self.terminal: Terminal | None = None
        self.full_since: float | None = None
        """Loop time since when Redis has been too full for it."""
        self.lost = asyncio.Event()
        self.answer: ReplyCode | None = None
        self.cancelled_at: float | None = None
        """Loop time of the cancel that closed the log."""
        self._wake = wake
        self._moved = asyncio.Event()
        self.place = (outbox.generation_id, outbox.epoch)
        """Generation and epoch. Not the generation alone: a worker that was stopped for longer than
        a lease may take its own generation again, while the former attempt does not know yet."""

    def add(self, event: Delta | Whole) -> None:
        """Accept one event at once; the caller asks `is_full` and waits in `room` before the next.

        Raises `OwnershipLost`, `OutputTooLarge`.
        """
        self._check()
        if isinstance(event, ToolCallDone | ToolResult):
            self.outbox.add_whole(event)
        else:
            self.outbox.add(event)
        self._wake(self)

    def tell(self, step: Json) -> None:
        """Accept one step of a JSON value; the same holds. Raises `OwnershipLost`."""
        self._check()
        self.outbox.tell(step)
        self._wake(self)

    @property
    def remaining_s(self) -> float:
        """Until the generation's deadline, by a clock that cannot jump."""
        return self._ends_at - asyncio.get_running_loop().time()

    @property
    def is_over(self) -> bool:
        """The last event is in the log."""
        return self.outbox.closed and self.outbox.is_settled

    @property
    def is_closed(self) -> bool:
        """The log has an end, by us or by somebody else."""
        return self.is_over or self.answer in (ReplyCode.CLOSED, ReplyCode.GONE)

    @property
    def is_full(self) -> bool:
        return self.outbox.is_full

    async def room(self) -> None:
        """Wait until a piece may be added. This wait is what holds the provider back."""
        while self.outbox.is_full:
            await self._wait_for_move()

    async def close(self, terminal: Terminal) -> None:
        """Write the last event and wait until the log has it. Raises `OwnershipLost`."""
        self._check()
        self.outbox.close(terminal)
        self.terminal = terminal
        self._wake(self)
        await self.settled()

    async def settled(self) -> None:
        """Wait until the log has everything said so far. Raises `OwnershipLost`."""
        while not self.outbox.is_settled:
            await self._wait_for_move()

    def lose(self, answer: ReplyCode, *, since_cancel_s: float | None = None) -> None:
        """The attempt may never write again, because the log replied so."""
        self.answer = answer
        if since_cancel_s is not None:
            self.cancelled_at = asyncio.get_running_loop().time() - since_cancel_s
        self.lost.set()
        self._moved.set()

    def move(self, seq: int) -> None:
        """The log answered how far it is."""
        self.outbox.acknowledge(seq)
        self._moved.set()

    async def _wait_for_move(self) -> None:
        self._moved.clear()
        await self._moved.wait()
        self._check()

    def _check(self) -> None:
        if self.answer is not None:
            raise OwnershipLost(self.answer)
