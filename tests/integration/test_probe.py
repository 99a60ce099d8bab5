"""The event of nobody's by which an API process learns how late events come."""

import pytest
from redis.asyncio import Redis

from outlive.shared.log.probe import ProbeLog
from outlive.shared.store.keyspace import Keys

pytestmark = pytest.mark.anyio


async def test_a_probe_sent_again_after_a_lost_reply_harms_nobody(redis: Redis, keys: Keys) -> None:
    """It is in already, which Redis answers with an error: no reason for a process to end."""
    probe = ProbeLog(redis, keys)
    await probe.write(1)
    await probe.write(1)
    await probe.write(2)
    assert await redis.xrange(probe.key) == [(b"2-0", {b"type": b"probe", b"data": b"{}"})]
