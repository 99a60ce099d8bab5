"""Owns the queue plane: deliveries in arq's format, claiming them, waking a worker, hints.

It carries a generation's id to some worker and nothing more. If all of it is lost, no answer is lost, because the sweep
finds queued generations. It also keeps the set of queued and running generations, for admission and autoscalers: a
generation joins with its first delivery and leaves at its end. One delivery is one arq job `<generation id>:<n>`, so a
stale worker's bookkeeping can never touch another delivery's. JSON, never pickle: write access to Redis must not mean
running code here. Raises `LogUnavailable`.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple, cast

from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import Redis

from outlive.shared.queue.quota import forget_stored, give_back, holder_of
from outlive.shared.store import scripts
from outlive.shared.store.connect import BLOCK_S, replies_of, translated
from outlive.shared.store.keyspace import Keys

JOB_FUNCTION: Final = "generate"
"""The only function name in arq's jobs."""

WAKE_S: Final = 0.5
"""How long an idle worker waits for a wake before it polls."""

_WAKE_LIMIT: Final = 1000
_ENQUEUE: Final = scripts.load("enqueue", on_log=False)
_CLAIM: Final = scripts.load("claim", on_log=False, allow_oom=True)


def serialize(job: dict[str, Any]) -> bytes:
    """arq's job as JSON. The only value that JSON cannot hold is the error of a job that arq could not run; nothing
    reads it, so its `repr` is enough."""
    return json.dumps(job, separators=(",", ":"), default=repr).encode()


def deserialize(data: bytes) -> dict[str, Any]:
    """arq's job from JSON."""
    job: dict[str, Any] = json.loads(data)
    return job


def generation_of(job_id: str) -> str:
    """The generation that a job delivers. For a job that is not ours, a text that is not the id of a generation."""
    return job_id.rpartition(":")[0]


class Claimed(NamedTuple):
    """A delivery that this worker claimed; `waited_s` by Redis's clock."""

    job_id: str
    waited_s: float


class Queue:
    """Deliveries for one fleet of workers."""

    def __init__(self, redis: Redis, keys: Keys, *, expiry_s: float) -> None:
        """`expiry_s`: how long the keys of a delivery are kept; longer than any deadline."""
        self._redis = redis
        self._keys = keys
        self._expiry_ms = round(expiry_s * 1000)
        self.name = keys.queue

    async def enqueue(
        self, generation_id: str, delivery: int, *, lasts_s: float | None = None, tenant: str | None = None
    ) -> bool:
        """Enqueue delivery number `delivery`; False when the previous one still waits. The generation is active from
        now until `leave`, and at most for `lasts_s`. Its reservation, if it has one, is prolonged to its deadline;
        a caller that knows the `tenant` saves a round trip."""
        if tenant is None:
            tenant = await holder_of(self._redis, self._keys, generation_id) or ""
        # The script replaces this 0, the last in arq's format, with Redis time.
        job = serialize_job(JOB_FUNCTION, (generation_id,), {}, None, 0, serializer=serialize)
        head, tail = job.rsplit(b"0", 1)
        keys = [
            self._keys.queue, self._keys.wake, self._keys.delivery(generation_id),
            f"{job_key_prefix}{generation_id}:{delivery}", self._keys.active,
            self._keys.holder(generation_id), self._keys.active_of(tenant), self._keys.stored(tenant),
        ]  # fmt: skip
        lasts_ms = self._expiry_ms if lasts_s is None else round(lasts_s * 1000)
        args: list[scripts.Word] = [generation_id, delivery, head, tail, self._expiry_ms, _WAKE_LIMIT, lasts_ms]
        return bool(await scripts.run(self._redis, scripts.Call(_ENQUEUE, keys, args)))

    async def claim(self, limit: int) -> list[Claimed]:
        """Take up to `limit` due deliveries out of the queue."""
        reply = await scripts.run(self._redis, scripts.Call(_CLAIM, [self._keys.queue, self._keys.active], [limit]))
        return [Claimed(_decoded(job_id), waited_ms / 1000) for job_id, waited_ms in reply]

    async def leave(self, generation_id: str, *, log_bytes: int = 0, kept_s: float | None = None) -> None:
        """The generation is closed: it is not active any more. If this is lost, it leaves at its deadline. Its bytes
        count for its retention, or for `kept_s` if that is shorter."""
        await give_back(self._redis, self._keys, generation_id, log_bytes=log_bytes, kept_s=kept_s)

    async def forget(self, generation_id: str, tenant: str) -> None:
        """The generation is deleted: its bytes do not count any more."""
        await forget_stored(self._redis, self._keys, generation_id, tenant)

    async def backlog(self) -> tuple[int, int]:
        """How many generations are active, and how many deliveries wait for a worker."""
        with translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zcard(self._keys.active)
                pipe.zcard(self._keys.queue)
                active, waiting = await replies_of(pipe)
        return int(active), int(waiting)

    async def wait_for_wake(self, blocking: Redis) -> None:
        """Wait until a delivery is announced, at most `WAKE_S`. `blocking`: a client that nothing else uses."""
        with translated():
            # redis-py types this for its synchronous client too, and without fractions of a second.
            await cast(Any, blocking.blpop)([self._keys.wake], timeout=WAKE_S)

    async def hint(self, generation_id: str) -> None:
        """Ask the worker that runs this generation to check its log now. Nothing depends on it: a lost hint only costs
        time, because the next append or renewal learns the same."""
        with translated():
            await self._redis.publish(self._keys.hints, generation_id)

    async def hints(self, blocking: Redis) -> AsyncIterator[str]:
        """Generation ids as hints arrive, until the connection fails."""
        async with blocking.pubsub() as pubsub:
            with translated():
                await pubsub.subscribe(self._keys.hints)
            while True:
                with translated():
                    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=BLOCK_S)
                if message is not None:
                    yield _decoded(message["data"])


def _decoded(data: bytes) -> str:
    """Decode a name; undecodable bytes match nothing and must not crash the reader."""
    return data.decode(errors="replace")
