"""Ending, forgetting, sweeping and healing: the rest of PROTOCOL.md, Verbs, on a real server."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from shared.answers import Answer
from shared.connection import connect
from shared.cursor import Cursor
from shared.errors import GenerationGone, LogFull, LogUnavailable
from shared.eventlog import EventLog
from shared.keys import Keys, partition_of
from shared.logreader import LogReader
from tests.integration.conftest import LIMITS
from tests.integration.logs import (
    TENANT, append, completion, created, expire_lease, meta_fields, new_generation, renew, running, said, server_ms, set_meta,
    tokens, whole_log,
)  # fmt: skip
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

_DAY_MS = 86_400_000


@pytest.mark.rule("R14", "R17", "R18")
async def test_cancelling_a_running_generation_cuts_it(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """A terminal in an epoch of its own, with the totals up to the cut; the owner learns CLOSED."""
    generation_id, taken = await running(eventlog)
    await append(eventlog, tokens(generation_id, taken.epoch, 1, "日本", "c", chars=0))
    assert await eventlog.cancel(generation_id) == (Answer.OK, "cancelled")
    last = (await whole_log(redis, keys, generation_id))[-1]
    assert last.cursor > Cursor(taken.epoch, 2)
    assert last.cursor.seq == 0
    assert (await said(redis, keys, generation_id))[-1] == ("cancelled", {
        "reason": "requested",
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, "estimated": True},
        "chars": 3, "events": 4, "cut": f"{taken.epoch}-2",
    })  # fmt: skip
    assert (await append(eventlog, tokens(generation_id, taken.epoch, 3, "z"))).answer is Answer.CLOSED
    assert (await append(eventlog, tokens(generation_id, taken.epoch, 2, "c"))).answer is Answer.CLOSED


@pytest.mark.rule("R17", "R18")
async def test_cancelling_a_queued_generation_needs_no_worker(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """The delivery that comes later finds it closed."""
    generation_id = await created(eventlog)
    assert await eventlog.cancel(generation_id, "changed my mind") == (Answer.OK, "cancelled")
    queued, last = await whole_log(redis, keys, generation_id)
    assert f'"chars":0,"events":1,"cut":"{queued.cursor}"}}'.encode() in last.data
    assert (await eventlog.take(generation_id, "one")).answer is Answer.CLOSED
    assert await redis.zscore(keys.deadlines(partition_of(generation_id)), generation_id) is None


@pytest.mark.rule("R5", "R7", "R18")
async def test_only_the_first_ending_counts(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Cancelled twice, or after the end: ALREADY with what it ended as."""
    generation_id, taken = await running(eventlog)
    await append(eventlog, completion(generation_id, taken.epoch, 1))
    assert await eventlog.cancel(generation_id) == (Answer.ALREADY, "completed")
    other = await created(eventlog)
    assert await eventlog.fail(other, "worker_lost", 'say "no" %s\n', retryable=True) == (Answer.OK, "failed")
    assert await eventlog.cancel(other) == await eventlog.cancel(other) == (Answer.ALREADY, "failed")
    kind, data = (await said(redis, keys, other))[-1]
    assert (kind, data["code"], data["message"], data["retryable"]) == ("failed", "worker_lost", 'say "no" %s\n', True)


@pytest.mark.rule("R19")
async def test_nothing_passes_a_tombstone(eventlog: EventLog, reader: LogReader, redis: Redis, keys: Keys) -> None:
    """Deleted is deleted for every verb, and for a day."""
    new = new_generation()
    await eventlog.create(new)
    taken = await eventlog.take(new.id, "one")
    assert await eventlog.delete(new.id, TENANT) is Answer.OK
    assert await eventlog.delete(new.id, TENANT) is Answer.GONE
    answers = [
        (await eventlog.create(new)).answer,
        (await eventlog.take(new.id, "one")).answer,
        await eventlog.heal(new.id, "one", taken),
        (await append(eventlog, tokens(new.id, taken.epoch, 1, "z"))).answer,
        (await append(eventlog, completion(new.id, taken.epoch, 1))).answer,
        (await renew(eventlog, new.id, taken.epoch)).answer,
        (await eventlog.release(new.id, taken.epoch, "worker_shutdown")).answer,
        (await eventlog.requeue(new.id)).answer,
        (await eventlog.cancel(new.id)).answer,
    ]
    assert set(answers) == {Answer.GONE}
    with pytest.raises(GenerationGone):
        await reader.meta(new.id, TENANT)
    assert await meta_fields(redis, keys, new.id) == {"status": "deleted", "tenant": TENANT}
    assert _DAY_MS - 60_000 < await redis.pttl(keys.meta(new.id)) <= _DAY_MS
    partition = partition_of(new.id)
    assert await redis.exists(keys.log(new.id), keys.request(new.id), keys.index(partition, TENANT)) == 0
    assert await redis.zscore(keys.deadlines(partition), new.id) is None


async def test_what_never_was_is_gone_for_every_verb(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """And none of them makes it."""
    _, taken = await running(eventlog)
    other = new_generation().id
    answers = [
        (await eventlog.take(other, "one")).answer,
        await eventlog.heal(other, "one", taken),
        (await append(eventlog, tokens(other, taken.epoch, 1, "z"))).answer,
        (await renew(eventlog, other, taken.epoch)).answer,
        (await eventlog.release(other, taken.epoch, "worker_shutdown")).answer,
        (await eventlog.requeue(other)).answer,
        (await eventlog.cancel(other)).answer,
        await eventlog.delete(other, TENANT),
    ]
    assert set(answers) == {Answer.GONE}
    assert await redis.exists(keys.meta(other), keys.log(other)) == 0


@pytest.mark.rule("R23")
async def test_after_its_retention_a_log_is_gone(eventlog: EventLog, reader: LogReader, redis: Redis, keys: Keys) -> None:
    """Not a moment of it passes before the end; what it was stays known for a day."""
    new = new_generation(retention_s=0.1)
    await eventlog.create(new)
    taken = await eventlog.take(new.id, "one")
    assert await redis.pttl(keys.log(new.id)) == await redis.pttl(keys.meta(new.id)) == -1
    await append(eventlog, completion(new.id, taken.epoch, 1))
    assert 0 < await redis.pttl(keys.log(new.id)) <= 100
    assert _DAY_MS < await redis.pttl(keys.meta(new.id)) + 60_000

    async def is_gone() -> bool:
        try:
            return not await reader.meta(new.id, TENANT)
        except GenerationGone:
            return True

    await until(is_gone, 5.0, "the log expires")
    assert await redis.exists(keys.request(new.id)) == 0
    assert (await eventlog.create(new)).answer is Answer.GONE
    assert (await append(eventlog, completion(new.id, taken.epoch, 1))).answer is Answer.DUP


@pytest.mark.rule("R24")
async def test_one_of_many_sweepers_enqueues(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """OK moves the deadline by a lease, so the second asker is told NOT_DUE."""
    generation_id = await created(eventlog)
    deadlines = keys.deadlines(partition_of(generation_id))
    assert (await eventlog.requeue(generation_id)).answer is Answer.NOT_DUE
    for delivery in (2, 3):
        await redis.zadd(deadlines, {generation_id: await server_ms(redis) - 1})
        assert generation_id in await eventlog.overdue()
        assert await eventlog.requeue(generation_id) == (Answer.OK, delivery, "")
        assert (await eventlog.requeue(generation_id)).answer is Answer.NOT_DUE
        assert generation_id not in await eventlog.overdue()


@pytest.mark.rule("R10", "R24")
async def test_a_live_owner_is_not_overdue(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Its lease moves the deadline; a lost owner's does not, and a score from a clock ahead is no excuse."""
    generation_id, _ = await running(eventlog)
    deadlines = keys.deadlines(partition_of(generation_id))
    await redis.zadd(deadlines, {generation_id: 1})
    assert (await eventlog.requeue(generation_id)).answer is Answer.NOT_DUE
    assert await redis.zscore(deadlines, generation_id) == int((await meta_fields(redis, keys, generation_id))["lease"])
    await expire_lease(redis, keys, generation_id)
    await redis.zadd(deadlines, {generation_id: await server_ms(redis) + 3_600_000})
    assert generation_id in await eventlog.overdue()
    assert (await eventlog.requeue(generation_id)).answer is Answer.OK


@pytest.mark.rule("R16", "R24")
async def test_the_sweep_learns_what_take_would_say(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """PAST_DEADLINE, EXHAUSTED and INTERRUPTED need no free slot to be found."""
    late, _ = await running(eventlog)
    await set_meta(redis, keys, late, deadline=await server_ms(redis) - 1)
    assert (await eventlog.requeue(late)).answer is Answer.PAST_DEADLINE
    broken, _ = await running(eventlog, on_interrupt="fail")
    used_up = await created(eventlog)
    for n in range(3):
        await eventlog.take(used_up, str(n))
        await expire_lease(redis, keys, used_up)
    for generation_id in (broken, used_up):
        await expire_lease(redis, keys, generation_id)
        await redis.zadd(keys.deadlines(partition_of(generation_id)), {generation_id: 1})
    assert await eventlog.requeue(broken) == (Answer.INTERRUPTED, 0, "worker_lost")
    assert await eventlog.requeue(used_up) == (Answer.EXHAUSTED, 0, "worker_lost")


@pytest.mark.rule("R10")
async def test_a_deadline_from_a_clock_ahead_is_clamped(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """A server whose clock fell back strands nothing for the difference."""
    generation_id = await created(eventlog, deadline_s=60.0)
    now = await server_ms(redis)
    await set_meta(redis, keys, generation_id, deadline=now + 3_600_000)
    assert (await eventlog.take(generation_id, "one")).remaining_s == 60.0
    await eventlog.requeue(generation_id)
    assert now + 60_000 <= int((await meta_fields(redis, keys, generation_id))["deadline"]) <= now + 61_000


@pytest.mark.rule("R2", "R7")
async def test_a_lost_take_is_written_again_as_it_was(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """BEHIND, heal, and the same ids and bytes as before the failover."""
    generation_id = await created(eventlog)
    snapshot = [(key, await redis.dump(key)) for key in (keys.meta(generation_id), keys.log(generation_id))]
    taken = await eventlog.take(generation_id, "one")
    batch = tokens(generation_id, taken.epoch, 1, "a", "b")
    await append(eventlog, batch)
    before = await whole_log(redis, keys, generation_id)
    for key, value in snapshot:
        await redis.restore(key, 0, value, replace=True)
    assert (await append(eventlog, batch)).answer is Answer.BEHIND
    assert (await renew(eventlog, generation_id, taken.epoch)).answer is Answer.BEHIND
    assert await eventlog.heal(generation_id, "one", taken) is Answer.OK
    assert await eventlog.heal(generation_id, "one", taken) is Answer.OK
    assert await append(eventlog, tokens(generation_id, taken.epoch, 2, "b")) == (Answer.GAP, 0)
    assert await append(eventlog, batch) == (Answer.OK, 2)
    assert before == await whole_log(redis, keys, generation_id)
    fields = await meta_fields(redis, keys, generation_id)
    assert (fields["status"], fields["attempt"], fields["counted"], fields["owner"]) == ("running", "1", "1", "one")
    assert (await eventlog.take(generation_id, "one")).epoch == taken.epoch


@pytest.mark.rule("R16")
async def test_an_epoch_the_log_has_lost_may_still_be_released(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Healing never lowers what is counted."""
    generation_id, taken = await running(eventlog)
    lost = taken._replace(epoch=taken.epoch + 70_000, attempt=2, counted=0, reason="worker_lost")
    assert (await eventlog.release(generation_id, lost.epoch, "worker_shutdown")).answer is Answer.OK
    assert await eventlog.heal(generation_id, "two", lost) is Answer.OK
    fields = await meta_fields(redis, keys, generation_id)
    assert (fields["attempt"], fields["counted"], fields["released"]) == ("2", "1", "0")


@pytest.fixture
async def small_redis() -> AsyncIterator[Redis]:
    """A server of its own, to be filled."""
    server = RedisServer(appendonly=False)
    await server.start()
    client = connect(server.url)
    yield client
    await client.aclose()
    await server.stop()


@pytest.mark.rule("R11")
async def test_a_full_redis_still_lets_generations_end(small_redis: Redis, keys: Keys) -> None:
    """Nothing new is accepted; leases, terminals, cancels and deletes are."""
    eventlog = EventLog(small_redis, keys, replace(LIMITS, lease_s=5.0))
    (one, first), (two, _), (three, third) = [await running(eventlog) for _ in range(3)]
    await append(eventlog, tokens(one, first.epoch, 1, "a"))
    await small_redis.config_set("maxmemory", "1mb")
    with pytest.raises(LogFull):
        await append(eventlog, tokens(one, first.epoch, 2, "b"))
    with pytest.raises(LogFull):
        await eventlog.create(new_generation())
    with pytest.raises(LogUnavailable):
        await eventlog.take(await _queued_before(eventlog, small_redis), "one")
    assert await renew(eventlog, one, first.epoch) == (Answer.OK, 1)
    assert await append(eventlog, completion(one, first.epoch, 2)) == (Answer.OK, 2)
    assert await eventlog.cancel(two) == (Answer.OK, "cancelled")
    assert (await eventlog.release(three, third.epoch, "worker_shutdown")).answer is Answer.OK
    assert await eventlog.delete(three, TENANT) is Answer.OK
    # What is missing before it keeps a terminal out: then the deadline ends the generation instead.
    assert [kind for kind, _ in await said(small_redis, keys, one)] == ["queued", "attempt", "token", "completed"]


async def _queued_before(eventlog: EventLog, redis: Redis) -> str:
    await redis.config_set("maxmemory", "0")
    generation_id = await created(eventlog)
    await redis.config_set("maxmemory", "1mb")
    return generation_id


@pytest.mark.rule("R11")
async def test_a_terminal_with_events_before_it_waits(small_redis: Redis, keys: Keys) -> None:
    """Only alone may it pass: a batch would grow Redis past its limit."""
    eventlog = EventLog(small_redis, keys, LIMITS)
    generation_id, taken = await running(eventlog)
    whole = tokens(generation_id, taken.epoch, 1, "a")
    last = completion(generation_id, taken.epoch, 2)
    batch = whole._replace(entries=[*whole.entries, *last.entries], terminal=last.terminal)
    await small_redis.config_set("maxmemory", "1mb")
    with pytest.raises(LogFull):
        await append(eventlog, batch)
    assert await append(eventlog, last) == (Answer.GAP, 0)
    await small_redis.config_set("maxmemory", "0")
    assert await append(eventlog, batch) == (Answer.OK, 2)
