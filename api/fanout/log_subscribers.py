"""Owns on which server each watched log speaks to this process: one connection for each server that has any.

A log follows its slot: when the server that had it is lost, refuses it or hands it over, the servers are asked anew,
and its channel is subscribed to where it is now. Knows nothing of feeds. One such connection: `log_subscriber.py`.
"""

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, Protocol

from outlive.api.fanout.log_subscriber import LogSubscriber
from outlive.shared.errors import LogUnavailable
from outlive.shared.redis_url import Host
from outlive.shared.store.plane import LogPlane

log = logging.getLogger(__name__)

_BEATS_PER_LEASE: Final = 3
_FIRST_S: Final = 0.05
_MAX_S: Final = 1.0


class KeyListener(Protocol):
    """Takes what the logs push."""

    def deliver(self, messages: Sequence[tuple[str, bytes]]) -> int:
        """Messages in order, each with its key. Returns how many viewers they are for."""

    def subscribed(self, key: str) -> None:
        """This key's channel begins to speak; after a loss again."""

    def unsubscribed(self, key: str) -> None:
        """This key's channel does not speak for now."""


class LogSubscribers:
    """`watch` a log key; `run` owns the connections."""

    def __init__(self, plane: LogPlane, *, lease_s: float) -> None:
        self._plane = plane
        self._beat_s = lease_s / _BEATS_PER_LEASE
        self._subscribers: dict[Host, LogSubscriber] = {}
        self._node_of: dict[str, Host | None] = {}
        """By watched key: where it is assigned; None while it waits to be."""
        self._unassigned: dict[str, None] = {}
        self._has_unassigned = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._listener: KeyListener | None = None

    def watch(self, key: str) -> bool:
        """Deliver this log's messages. False if that will not begin soon."""
        node = self._plane.node_of(key)
        if node is None:
            self._node_of[key] = None
            self._unassigned[key] = None
            self._has_unassigned.set()
            return False
        self._assign(key, node)
        return self._subscribers[node].is_up

    def forget(self, key: str) -> None:
        """Deliver no more of them."""
        self._unassigned.pop(key, None)
        node = self._node_of.pop(key, None)
        if node is not None:
            self._subscribers[node].forget(key)

    async def run(self, listener: KeyListener) -> None:
        """Until cancelled. An outage is waited out."""
        self._listener = listener
        async with asyncio.TaskGroup() as self._tasks:
            for node, subscriber in self._subscribers.items():
                self._start(node, subscriber)
            loop, assigned_at, delay_s = asyncio.get_running_loop(), float("-inf"), _FIRST_S
            while True:
                await self._has_unassigned.wait()
                self._has_unassigned.clear()
                delay_s = min(delay_s * 2, _MAX_S) if loop.time() - assigned_at < 2 * _MAX_S else _FIRST_S
                await asyncio.sleep(delay_s * random.uniform(0.5, 1))
                assigned_at = loop.time()
                try:
                    await self._plane.learn()
                except LogUnavailable:
                    self._has_unassigned.set()
                    continue
                self._assign_all()

    # Subscribers say what they hear.

    def deliver(self, messages: Sequence[tuple[str, bytes]]) -> int:
        """See `Listener`."""
        return self._to.deliver(messages)

    def subscribed(self, channel: str) -> None:
        """See `Listener`."""
        self._to.subscribed(channel)

    def lost(self, channels: Iterable[str]) -> None:
        """See `Listener`. They are assigned anew."""
        for key in channels:
            if key in self._node_of:
                self._node_of[key] = None
                self._unassigned[key] = None
                self._to.unsubscribed(key)
        self._has_unassigned.set()

    @property
    def _to(self) -> KeyListener:
        assert self._listener is not None, "subscribers run only while this does"
        return self._listener

    def _assign_all(self) -> None:
        unassigned, self._unassigned = self._unassigned, {}
        for key in unassigned:
            node = self._plane.node_of(key)
            if node is None:
                self._unassigned[key] = None
                self._has_unassigned.set()
            else:
                self._assign(key, node)

    def _assign(self, key: str, node: Host) -> None:
        if node not in self._subscribers:
            connect = partial(self._plane.channels, node)
            self._subscribers[node] = LogSubscriber(connect, self, beat_s=self._beat_s)
            if self._tasks is not None:
                self._start(node, self._subscribers[node])
        self._node_of[key] = node
        self._subscribers[node].watch(key)

    def _start(self, node: Host, subscriber: LogSubscriber) -> None:
        assert self._tasks is not None, "run has begun"
        self._tasks.create_task(subscriber.run(), name=f"log subscriber {node[0]}:{node[1]}")
