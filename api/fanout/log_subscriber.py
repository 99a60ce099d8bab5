"""Owns one connection to one server of the log plane, on which its logs push their messages.

However many logs and viewers. It is opened anew after a loss, and left when its server takes no writes any more, or is
silent though it was asked: a half-open connection and a demoted server would say nothing, or nothing true, for ever.
Knows nothing of feeds. Which log speaks on which server: `log_subscribers.py`.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, Protocol

from outlive.shared.errors import LogUnavailable
from outlive.shared.runtime.pacing import Pace
from outlive.shared.store.channels import Arrived, ChannelConnection

log = logging.getLogger(__name__)

_BATCH: Final = 256
"""Channels subscribed to in one write; the next write waits for the replies to this one."""
_AWAY_FIRST_S: Final = 0.05
_AWAY_MAX_S: Final = 1.0
_SILENT_BEATS: Final = 2
"""So many times the server was asked and nothing at all arrived: the connection is half-open."""

_ROUND_S: Final = 0.04
"""The longest time that messages gather when this process is busy: shorter than a reader of text notices."""
_LESS_EACH_S: Final = 0.000_03
_MIN_S: Final = 0.025
"""Less for each message, down to this: a worker that writes many batches already (`worker/publishing/publisher.py`).
If we read no faster than a worker flushes, one flush is split over two reads and half of it is late."""
_REST_EACH_S: Final = 0.000_075
"""Pause for each viewer and message: a write costs a seventh of this."""


class Listener(Protocol):
    """Takes what a subscriber hears."""

    def deliver(self, messages: Sequence[tuple[str, bytes]]) -> int:
        """Messages in order, each with its channel. Returns how many viewers they are for."""

    def subscribed(self, channel: str) -> None:
        """From now on this channel's messages arrive."""

    def lost(self, channels: Iterable[str]) -> None:
        """These are not subscribed to here, and will not be: the connection is lost, the server refused, or their
        slot has moved. They are forgotten."""


class LogSubscriber:
    """`run` owns the connection. There is one while there are channels."""

    def __init__(self, connect: Callable[[], ChannelConnection], listener: Listener, *, beat_s: float) -> None:
        """The server is asked for a sign of life, and for its role, every `beat_s`."""
        self.is_up = False
        self._connect = connect
        self._listener = listener
        self._beat_s = beat_s
        self._wanted: set[str] = set()
        self._sent: set[str] = set()
        """Subscribed to by commands that were sent on this connection."""
        self._confirmed: set[str] = set()
        self._leaving = Counter[str]()
        """Commands to leave a channel that the server has not confirmed."""
        self._changed: dict[str, None] = {}
        """Channels to subscribe to or to leave."""
        self._has_changed = asyncio.Event()
        self._mark = 0
        self._marked = asyncio.Event()
        self._heard_at = 0.0
        self._pace = Pace(_REST_EACH_S, monotonic=time.monotonic, thread_time=time.thread_time)

    def watch(self, channel: str) -> None:
        """Subscribe."""
        self._wanted.add(channel)
        if channel in self._confirmed:
            # It was forgotten a moment ago, and that was not sent yet.
            self._changed.pop(channel, None)
            asyncio.get_running_loop().call_soon(self._listener.subscribed, channel)
        else:
            self._change(channel)

    def forget(self, channel: str) -> None:
        """Leave. What is under way may still be delivered."""
        self._wanted.discard(channel)
        self._change(channel)

    async def run(self) -> None:
        """Until cancelled. An outage is waited out."""
        delay_s = _AWAY_FIRST_S
        while True:
            while not self._wanted:
                self._changed.clear()
                self._has_changed.clear()
                await self._has_changed.wait()
            connection = self._connect()
            began = asyncio.get_running_loop().time()
            try:
                await self._serve(connection)
            except* LogUnavailable:
                if self.is_up:
                    log.warning("redis pushes no events now; logs are read instead until it does")
            finally:
                self.is_up = False
                await connection.close()
            if asyncio.get_running_loop().time() - began > _AWAY_MAX_S:
                delay_s = _AWAY_FIRST_S
            self._hand_back(list(self._wanted))
            await asyncio.sleep(delay_s * random.uniform(0.5, 1))
            delay_s = min(delay_s * 2, _AWAY_MAX_S)

    async def _serve(self, connection: ChannelConnection) -> None:
        self._sent, self._confirmed, self._leaving = set(), set(), Counter()
        async with asyncio.TaskGroup() as tasks:
            try:
                async with asyncio.timeout(_SILENT_BEATS * self._beat_s):
                    await connection.open()
                    while not (arrived := await connection.receive()).roles:
                        pass
            except TimeoutError:
                raise LogUnavailable from None
            self._hear(arrived)
            self.is_up = True
            self._changed = dict.fromkeys(self._wanted)
            self._has_changed.set()
            tasks.create_task(self._beat(connection), name="ask for a sign of life")
            tasks.create_task(self._write(connection), name="subscribe")
            while True:
                began_s = time.monotonic()
                await self._rest(self._hear(await connection.receive()), began_s)

    def _hear(self, arrived: Arrived) -> tuple[int, int]:
        """How many viewers got something, and how many messages there were."""
        self._heard_at = asyncio.get_running_loop().time()
        if not arrived.is_primary:
            raise LogUnavailable
        # In this order: a channel's messages come behind its confirmation, and readings begin in another task.
        for channel in arrived.subscribed:
            self._confirm(channel)
        for channel in arrived.unsubscribed:
            self._left(channel)
        for error in arrived.errors:
            log.warning("redis refused to push events: %s", error)
        viewers = self._listener.deliver(arrived.messages) if arrived.messages else 0
        if self._mark in arrived.marks:
            self._marked.set()
        return viewers, len(arrived.messages)

    async def _rest(self, heard: tuple[int, int], began_s: float) -> None:
        viewers, messages = heard
        if messages:
            max_s = max(_ROUND_S - messages * _LESS_EACH_S, _MIN_S)
            if pause_s := self._pace.pause_s(viewers + messages, began_s, max_s):
                await asyncio.sleep(pause_s)

    def _confirm(self, channel: str) -> None:
        if channel in self._sent:
            self._confirmed.add(channel)
            if channel in self._wanted:
                self._listener.subscribed(channel)

    def _left(self, channel: str) -> None:
        if self._leaving[channel]:
            self._leaving[channel] -= 1
            return
        self._hand_back([channel])

    def _hand_back(self, channels: Sequence[str]) -> None:
        lost = [channel for channel in channels if channel in self._wanted]
        self._wanted.difference_update(channels)
        self._sent.difference_update(channels)
        self._confirmed.difference_update(channels)
        if lost:
            self._listener.lost(lost)

    def _change(self, channel: str) -> None:
        self._changed[channel] = None
        self._has_changed.set()

    async def _write(self, connection: ChannelConnection) -> None:
        while True:
            await self._has_changed.wait()
            self._has_changed.clear()
            while self._changed:
                batch = list(islice(self._changed, _BATCH))
                for channel in batch:
                    del self._changed[channel]
                joined = [channel for channel in batch if channel in self._wanted and channel not in self._sent]
                left = [channel for channel in batch if channel in self._sent and channel not in self._wanted]
                if not joined and not left:
                    continue
                self._sent.update(joined)
                self._sent.difference_update(left)
                self._confirmed.difference_update(left)
                self._leaving.update(left)
                self._mark += 1
                self._marked.clear()
                await connection.subscribe(joined, left, self._mark)
                await self._marked.wait()
                if refused := [c for c in joined if c in self._sent and c not in self._confirmed]:
                    self._hand_back(refused)

    async def _beat(self, connection: ChannelConnection) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            if asyncio.get_running_loop().time() - self._heard_at > _SILENT_BEATS * self._beat_s:
                log.warning("redis is silent, so its connection is taken for lost")
                connection.cut()
                raise LogUnavailable
            await connection.ask_role()
