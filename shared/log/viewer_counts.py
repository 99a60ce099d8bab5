"""Owns how many viewers a generation has over all API processes, as each process reports it to the others.

A count is written when it changes, beside its generation, because on a cluster only keys of one partition can be read
together. Whether it is believed is written apart from it: each process says in each partition where it has viewers that
it lives. So what is written all the time grows with processes and not with the generations that are watched. A count is
a courtesy, never the truth about a log. Raises `LogUnavailable`.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from outlive.shared.errors import OutliveError
from outlive.shared.store import scripts
from outlive.shared.store.cluster import Client
from outlive.shared.store.keyspace import Keys, partition_of
from outlive.shared.store.plane import groups_of

EXPIRY_S: Final = 15.0
"""How long a process is believed to live. A living one says so three times within."""
COUNT_EXPIRY_S: Final = 180.0
"""How long a count is valid. It is repeated three times within, for what a failover lost: a lost count is made good by
then, and one that should have been taken away is forgotten."""
_MAX_CALL_GENERATIONS: Final = 64
"""Generations in one report. One call must not hold Redis for longer than about a millisecond."""

_ALIVE: Final = scripts.load("alive", on_log=False)
_WATCHED: Final = scripts.load("watched", on_log=False)
_VIEWERS: Final = scripts.load("viewers", allow_oom=True)


class ViewerCounts:
    """The counts of one API process among all on one Redis."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._groups = groups_of(redis)
        self._process = secrets.token_hex(8)

    async def stay_alive(self, partitions: Collection[int]) -> None:
        """The counts of this process in these partitions are believed for `EXPIRY_S` from now on."""
        by_group: dict[str, list[str]] = {}
        for key in map(self._keys.processes, partitions):
            by_group.setdefault(self._groups.of(key), []).append(key)
        args: list[scripts.Word] = [self._process, _ms(EXPIRY_S)]
        await scripts.run_many(self._redis, [scripts.Call(_ALIVE, each, args) for each in by_group.values()])

    async def tell(self, counts: Mapping[str, int]) -> set[str]:
        """Report this process's viewers per generation id, all in one pipeline; the ids that Redis refused. Redis
        keeps no count for a generation that is gone, nor while it is full."""
        calls = list(self._split(counts))
        replies = await scripts.run_many(self._redis, [self._watched(counts, ids) for ids in calls])
        return {i for ids, reply in zip(calls, replies, strict=True) if isinstance(reply, OutliveError) for i in ids}

    def calls(self, counts: Mapping[str, int]) -> list[scripts.Call]:
        """The script calls of `tell`."""
        return [self._watched(counts, ids) for ids in self._split(counts)]

    async def elsewhere(self, generation_id: str) -> int:
        """Viewers on all other processes."""
        keys = [*self._keys.of_script(generation_id), self._keys.processes(partition_of(generation_id))]
        return int(await scripts.run(self._redis, scripts.Call(_VIEWERS, keys, (self._process, _ms(EXPIRY_S)))))

    def _split(self, counts: Mapping[str, int]) -> Iterator[list[str]]:
        """Which generations share one call: as many of a group as fit."""
        by_group: dict[str, list[str]] = {}
        for generation_id in counts:
            by_group.setdefault(self._groups.of(self._keys.log(generation_id)), []).append(generation_id)
        for ids in map(iter, by_group.values()):
            while call := list(islice(ids, _MAX_CALL_GENERATIONS)):
                yield call

    def _watched(self, counts: Mapping[str, int], ids: Sequence[str]) -> scripts.Call:
        keys = [key(generation_id) for generation_id in ids for key in (self._keys.log, self._keys.viewers)]
        args: list[scripts.Word] = [self._process, _ms(COUNT_EXPIRY_S)]
        args += (counts[generation_id] for generation_id in ids)
        return scripts.Call(_WATCHED, keys, args)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
