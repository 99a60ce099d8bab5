"""Owns attempts that are over until a replica has their last event, and for how long that is worth waiting for.

A failover may lose a terminal that was acknowledged. The worker still holds the whole attempt, so it keeps it a little
longer: the publisher's renewals find lost events and append them again (R26). This happens outside the arq slot, so
new work does not wait for replicas. Where there are no replicas nothing is held.
"""

import asyncio
import logging
import random
from typing import Final

from outlive.shared.store.replicas import Replicas, Standing
from outlive.worker.publishing.publication import Publication
from outlive.worker.publishing.publisher import Publisher
from outlive.worker.timers import Clock

log = logging.getLogger(__name__)

_MAX_S: Final = 15.0
"""A replica that is further behind is as good as none."""
_RETRY_S: Final = 0.2


class ReplicationHold:
    """`hold` takes what is over; `run` releases it in time."""

    def __init__(self, replicas: Replicas, publisher: Publisher, clock: Clock, *, limit: int) -> None:
        """`limit`: attempts held at once. One more releases the oldest."""
        self._replicas = replicas
        self._publisher = publisher
        self._clock = clock
        self._limit = limit
        self._held: dict[Publication, float] = {}
        """With the time when each is released at the latest."""
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, publication: Publication) -> None:
        """Hold this attempt, whose last event is in the log."""
        if len(self._held) >= self._limit:
            self._release(next(iter(self._held)))
        self._held[publication] = self._clock() + _MAX_S
        self._empty.clear()
        self._arrived.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._held:
                if not await self._check():
                    await asyncio.sleep(_RETRY_S * random.uniform(0.5, 1))
                self.release_late()

    async def wait_until_empty(self) -> None:
        """Wait until nothing is held any more."""
        await self._empty.wait()

    def release_late(self) -> None:
        """Release what has been held for too long."""
        now = self._clock()
        for publication, until in list(self._held.items()):
            if now >= until:
                log.warning("no replica has the end yet", extra={"generation": publication.generation_id})
                self._release(publication)

    async def _check(self) -> bool:
        """Release what is safe; whether Redis replied."""
        held = list(self._held)
        standing = await self._replicas.standing(publication.generation_id for publication in held)
        by_standing: dict[Standing, list[Publication]] = {one: [] for one in Standing}
        for publication in held:
            by_standing[standing[publication.generation_id]].append(publication)
        # Verified afterwards: the server that replied may have been promoted meanwhile, without these events.
        copied = by_standing[Standing.COPIED]
        verified = await self._publisher.verify(copied)
        for publication in by_standing[Standing.ALONE] + (copied if verified else []):
            if publication.is_over or publication.lost.is_set():
                self._release(publication)
        return verified and not by_standing[Standing.UNKNOWN]

    def _release(self, publication: Publication) -> None:
        self._held.pop(publication, None)
        self._publisher.forget(publication)
        if not self._held:
            self._empty.set()
