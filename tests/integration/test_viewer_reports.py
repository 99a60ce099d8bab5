"""What an API process reports of its viewers, and what the others make of it."""

import pytest
from redis.asyncio import Redis

from outlive.api.fanout.report_viewers import ViewerReporter
from outlive.shared.errors import LogUnavailable
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.viewer_counts import COUNT_EXPIRY_S, EXPIRY_S, ViewerCounts
from outlive.shared.store.connect import connect
from outlive.shared.store.keyspace import PARTITIONS, Keys, partition_of
from tests.integration import logs
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio


async def ran(redis: Redis, command: str) -> int:
    """How often Redis has run this command."""
    stats = await redis.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


@pytest.mark.rule("R36")
async def test_a_count_is_believed_while_its_process_lives(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """In the partition of its generation, whatever the process says elsewhere."""
    generation_id = await logs.created(eventlog)
    partition = partition_of(generation_id)
    one, other = ViewerCounts(redis, keys), ViewerCounts(redis, keys)
    await one.tell({generation_id: 2})
    assert await other.elsewhere(generation_id) == 0
    await one.stay_alive({(partition + 1) % PARTITIONS})
    assert await other.elsewhere(generation_id) == 0
    await one.stay_alive({partition})
    assert (await other.elsewhere(generation_id), await one.elsewhere(generation_id)) == (2, 0)
    assert 0 < await redis.pttl(keys.processes(partition)) <= EXPIRY_S * 1000

    (process,) = await redis.zrange(keys.processes(partition), 0, -1)
    for ends_at in (await logs.server_ms(redis) - 1, await logs.server_ms(redis) + 10 * EXPIRY_S * 1000):
        await redis.zadd(keys.processes(partition), {process: ends_at})
        assert await other.elsewhere(generation_id) == 0


@pytest.mark.rule("R36")
async def test_what_is_gone_takes_no_other_count_along(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """In one call, and the keys of what is gone stay gone."""
    here, gone = await logs.created(eventlog), await logs.created(eventlog)
    await eventlog.delete(gone, logs.TENANT)
    one, other = ViewerCounts(redis, keys), ViewerCounts(redis, keys)
    await one.stay_alive({partition_of(here), partition_of(gone)})
    assert await one.tell({gone: 1, here: 1}) == set()
    assert (await other.elsewhere(here), await other.elsewhere(gone)) == (1, 0)
    assert not await redis.exists(keys.viewers(gone))
    await one.tell({gone: 0, here: 0})
    assert await other.elsewhere(here) == 0


@pytest.mark.rule("R79")
async def test_a_count_that_does_not_change_is_seldom_repeated(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """While the process says all the time that it lives; and what Redis lost comes back."""
    ids = [await logs.created(eventlog) for _ in range(100)]
    counts = dict.fromkeys(ids, 3)
    other = ViewerCounts(redis, keys)
    reporter = ViewerReporter(ViewerCounts(redis, keys), lambda: counts)
    await reporter.report(now=1000)
    assert [await other.elsewhere(generation_id) for generation_id in ids] == [3] * 100

    written, alive = await ran(redis, "hset"), await ran(redis, "zadd")
    for second in range(1, 30):
        await reporter.report(now=1000 + second)
    assert await ran(redis, "hset") == written
    assert await ran(redis, "zadd") - alive <= PARTITIONS * 5
    await redis.delete(*map(keys.viewers, ids))
    for second in range(30, 62):
        await reporter.report(now=1000 + second)
    assert [await other.elsewhere(generation_id) for generation_id in ids] == [3] * 100
    assert 0 < await redis.pttl(keys.viewers(ids[0])) <= COUNT_EXPIRY_S * 1000

    counts[ids[0]] = 1
    del counts[ids[1]]
    await reporter.report(now=1063)
    assert [await other.elsewhere(generation_id) for generation_id in ids[:3]] == [1, 0, 3]


async def test_a_report_that_did_not_get_through_is_brought_again() -> None:
    """Redis was away."""
    server, keys = RedisServer(), Keys("ol")
    await server.start()
    redis = connect(server.url)
    try:
        generation_id = await logs.created(EventLog(redis, keys, logs.LIMITS))
        counts, other = {generation_id: 1}, ViewerCounts(redis, keys)
        reporter = ViewerReporter(ViewerCounts(redis, keys), lambda: counts)
        await reporter.report(now=1000)
        server.kill()
        counts[generation_id] = 2
        with pytest.raises(LogUnavailable):
            await reporter.report(now=1001)
        await server.start()
        await reporter.report(now=1002)
        assert await other.elsewhere(generation_id) == 2
    finally:
        await redis.aclose()
        await server.stop()
