"""Owns attempts that are over until a replica has their last event, and for how long that is worth it.

A failover may lose a terminal that was acknowledged. The worker still holds the whole attempt, so it
keeps it a little longer: lost events are found by the publisher's renewals and appended again (R26).
Outside the arq slot, so new work does not wait for replicas. Where there are none nothing lingers.
"""

import asyncio
import logging
import random
from typing import Final

from outlive.shared.store.replicas import Replicas, Standing
from outlive.worker.publishing.publication import Publication
from outlive.worker.publishing.publisher import Publisher

log = logging.getLogger(__name__)

_MAX_S: Final = 15.0
"""A replica that is further behind is as good as none."""
_RETRY_S: Final = 0.2


class ReplicationHold:
    """`keep` what is over; `run` lets go of it in time."""

    def __init__(self, replicas: Replicas, publisher: Publisher, *, limit: int) -> None:
        """`limit`: attempts kept at once; the oldest is let go for one more."""
        self._replicas = replicas
        self._publisher = publisher
        self._limit = limit
        self._kept: dict[Publication, float] = {}
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, publication: Publication) -> None:
        """Hold on to this attempt, whose last event is in the log."""
        if len(self._kept) >= self._limit:
            self._let_go(next(iter(self._kept)))
        self._kept[publication] = asyncio.get_running_loop().time() + _MAX_S
        self._empty.clear()
        self._arrived.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._kept:
                if not await self._ask():
                    await asyncio.sleep(_RETRY_S * random.uniform(0.5, 1))
                self._let_go_late()

    async def empty(self) -> None:
        """Wait until nothing is kept any more."""
        await self._empty.wait()

    async def _ask(self) -> bool:
        """Let go of what is safe; whether Redis answered."""
        asked = list(self._kept)
        standing = await self._replicas.standing(publication.outbox.generation_id for publication in asked)
        by_standing: dict[Standing, list[Publication]] = {one: [] for one in Standing}
        for publication in asked:
            by_standing[standing[publication.outbox.generation_id]].append(publication)
        # Asked afterwards: who answered may be a server promoted meanwhile, without these events.
        copied = by_standing[Standing.COPIED]
        verified = await self._publisher.verify(copied)
        for publication in by_standing[Standing.ALONE] + (copied if verified else []):
            if publication.is_over or publication.lost.is_set():
                self._let_go(publication)
        return verified and not by_standing[Standing.UNKNOWN]

    def _let_go_late(self) -> None:
        now = asyncio.get_running_loop().time()
        for publication, until in list(self._kept.items()):
            if now >= until:
                log.warning("no replica has the end yet", extra={"generation": publication.outbox.generation_id})
                self._let_go(publication)

    def _let_go(self, publication: Publication) -> None:
        self._kept.pop(publication, None)
        self._publisher.forget(publication)
        if not self._kept:
            self._empty.set()
