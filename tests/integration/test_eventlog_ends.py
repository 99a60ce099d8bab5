"""Ending, forgetting, sweeping and healing: the rest of PROTOCOL.md, Verbs, on a real server."""

import pytest
from redis.asyncio import Redis

from outlive.shared.errors import GenerationGone
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.reader import LogReader
from outlive.shared.log.replies import ReplyCode, SeqReply
from outlive.shared.model.cursor import Cursor
from outlive.shared.store.keyspace import Keys, partition_of
from tests.integration import logs
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

_DAY_MS = 86_400_000


@pytest.mark.rule("R14", "R17", "R18")
async def test_cancelling_a_running_generation_cuts_it(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """A terminal in an epoch of its own, with the totals up to the cut; the owner learns CLOSED."""
    generation_id, taken = await logs.running(eventlog)
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "日本", "c", chars=0))
    assert await eventlog.cancel(generation_id) == (ReplyCode.OK, "cancelled")
    last = (await logs.whole_log(redis, keys, generation_id))[-1]
    assert last.cursor > Cursor(taken.epoch, 2)
    assert last.cursor.seq == 0
    assert (await logs.said(redis, keys, generation_id))[-1] == ("cancelled", {
        "reason": "requested",
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, "estimated": True},
        "chars": 3, "events": 4, "cut": f"{taken.epoch}-2",
    })  # fmt: skip
    assert (await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 3, "z"))).code is ReplyCode.CLOSED
    assert (await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 2, "c"))).code is ReplyCode.CLOSED


@pytest.mark.rule("R17")
async def test_the_owner_learns_how_long_ago_the_cancel_was(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """By Redis's clock, from whichever verb it uses next; a log that ended otherwise says nothing of the kind."""
    generation_id, taken = await logs.running(eventlog)
    await eventlog.cancel(generation_id)
    await logs.set_meta(redis, keys, generation_id, finished=await logs.server_ms(redis) - 2_000)
    appended = await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a"))
    renewed = await logs.renew(eventlog, generation_id, taken.epoch)
    for reply in (appended, renewed):
        assert reply.code is ReplyCode.CLOSED
        assert reply.since_cancel_s is not None
        assert 2 <= reply.since_cancel_s < 60
    failed, former = await logs.running(eventlog)
    await eventlog.fail(failed, "worker_lost", "lost", retryable=True)
    assert await logs.renew(eventlog, failed, former.epoch) == SeqReply(ReplyCode.CLOSED)


@pytest.mark.rule("R17")
async def test_a_cancel_by_a_clock_that_was_ahead_was_just_now(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """After a failover the server's clock may be behind the one that wrote the time."""
    generation_id, taken = await logs.running(eventlog)
    await eventlog.cancel(generation_id)
    await logs.set_meta(redis, keys, generation_id, finished=await logs.server_ms(redis) + 60_000)
    assert await logs.renew(eventlog, generation_id, taken.epoch) == SeqReply(ReplyCode.CLOSED, since_cancel_s=0.0)


@pytest.mark.rule("R17", "R18")
async def test_cancelling_a_queued_generation_needs_no_worker(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """The delivery that comes later finds it closed."""
    generation_id = await logs.created(eventlog)
    assert await eventlog.cancel(generation_id, "changed my mind") == (ReplyCode.OK, "cancelled")
    queued, last = await logs.whole_log(redis, keys, generation_id)
    assert f'"chars":0,"events":1,"cut":"{queued.cursor}"}}'.encode() in last.data
    assert (await eventlog.take(generation_id, "one")).code is ReplyCode.CLOSED
    assert await redis.zscore(keys.deadlines(partition_of(generation_id)), generation_id) is None


@pytest.mark.rule("R5", "R7", "R18")
async def test_only_the_first_ending_counts(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Cancelled twice, or after the end: ALREADY with what it ended as."""
    generation_id, taken = await logs.running(eventlog)
    await logs.append(eventlog, logs.completion(generation_id, taken.epoch, 1))
    assert await eventlog.cancel(generation_id) == (ReplyCode.ALREADY, "completed")
    other = await logs.created(eventlog)
    assert await eventlog.fail(other, "worker_lost", 'say "no" %s\n', retryable=True) == (ReplyCode.OK, "failed")
    assert await eventlog.cancel(other) == await eventlog.cancel(other) == (ReplyCode.ALREADY, "failed")
    kind, data = (await logs.said(redis, keys, other))[-1]
    assert (kind, data["code"], data["message"], data["retryable"]) == ("failed", "worker_lost", 'say "no" %s\n', True)


@pytest.mark.rule("R19")
async def test_nothing_passes_a_tombstone(eventlog: EventLog, reader: LogReader, redis: Redis, keys: Keys) -> None:
    """Deleted is deleted for every verb, and for a day."""
    new = logs.new_generation()
    await eventlog.create(new)
    taken = await eventlog.take(new.id, "one")
    assert await eventlog.delete(new.id, logs.TENANT) is ReplyCode.OK
    assert await eventlog.delete(new.id, logs.TENANT) is ReplyCode.GONE
    answers = [
        (await eventlog.create(new)).code,
        (await eventlog.take(new.id, "one")).code,
        await eventlog.heal(new.id, "one", taken),
        (await logs.append(eventlog, logs.tokens(new.id, taken.epoch, 1, "z"))).code,
        (await logs.append(eventlog, logs.completion(new.id, taken.epoch, 1))).code,
        (await logs.renew(eventlog, new.id, taken.epoch)).code,
        (await eventlog.release(new.id, taken.epoch, "worker_shutdown")).code,
        (await eventlog.requeue(new.id)).code,
        (await eventlog.cancel(new.id)).code,
    ]
    assert set(answers) == {ReplyCode.GONE}
    with pytest.raises(GenerationGone):
        await reader.meta(new.id, logs.TENANT)
    assert await logs.meta_fields(redis, keys, new.id) == {"status": "deleted", "tenant": logs.TENANT}
    assert _DAY_MS - 60_000 < await redis.pttl(keys.meta(new.id)) <= _DAY_MS
    partition = partition_of(new.id)
    assert await redis.exists(keys.log(new.id), keys.request(new.id), keys.index(partition, logs.TENANT)) == 0
    assert await redis.zscore(keys.deadlines(partition), new.id) is None


async def test_what_never_was_is_gone_for_every_verb(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """And none of them makes it."""
    _, taken = await logs.running(eventlog)
    other = logs.new_generation().id
    answers = [
        (await eventlog.take(other, "one")).code,
        await eventlog.heal(other, "one", taken),
        (await logs.append(eventlog, logs.tokens(other, taken.epoch, 1, "z"))).code,
        (await logs.renew(eventlog, other, taken.epoch)).code,
        (await eventlog.release(other, taken.epoch, "worker_shutdown")).code,
        (await eventlog.requeue(other)).code,
        (await eventlog.cancel(other)).code,
        await eventlog.delete(other, logs.TENANT),
    ]
    assert set(answers) == {ReplyCode.GONE}
    assert await redis.exists(keys.meta(other), keys.log(other)) == 0


@pytest.mark.rule("R23")
async def test_after_its_retention_a_log_is_gone(
    eventlog: EventLog, reader: LogReader, redis: Redis, keys: Keys
) -> None:
    """Not a moment of it passes before the end; what it was stays known for a day."""
    new = logs.new_generation(retention_s=0.1)
    await eventlog.create(new)
    taken = await eventlog.take(new.id, "one")
    assert await redis.pttl(keys.log(new.id)) == await redis.pttl(keys.meta(new.id)) == -1
    await logs.append(eventlog, logs.completion(new.id, taken.epoch, 1))
    assert 0 < await redis.pttl(keys.log(new.id)) <= 100
    assert await redis.pttl(keys.meta(new.id)) > _DAY_MS - 60_000

    async def is_gone() -> bool:
        try:
            return not await reader.meta(new.id, logs.TENANT)
        except GenerationGone:
            return True

    await until(is_gone, 5.0, "the log expires")
    assert await redis.exists(keys.request(new.id)) == 0
    assert (await eventlog.create(new)).code is ReplyCode.GONE
    assert (await logs.append(eventlog, logs.completion(new.id, taken.epoch, 1))).code is ReplyCode.DUP


async def _overdue(eventlog: EventLog, redis: Redis, keys: Keys) -> list[str]:
    """As the first to ask in a period."""
    await redis.delete(keys.swept)
    return await eventlog.overdue(60)


@pytest.mark.rule("R24")
async def test_in_one_period_only_the_first_is_told(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """However many processes look; in the next period it is somebody's turn again."""
    generation_id = await logs.created(eventlog)
    await redis.zadd(keys.deadlines(partition_of(generation_id)), {generation_id: 1})
    assert generation_id in await _overdue(eventlog, redis, keys)
    assert await eventlog.overdue(60) == []
    assert generation_id in await _overdue(eventlog, redis, keys)


@pytest.mark.rule("R24")
async def test_one_of_many_sweepers_enqueues(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """OK moves the deadline by a lease, so the second asker is told NOT_DUE."""
    generation_id = await logs.created(eventlog)
    deadlines = keys.deadlines(partition_of(generation_id))
    assert (await eventlog.requeue(generation_id)).code is ReplyCode.NOT_DUE
    for delivery in (2, 3):
        await redis.zadd(deadlines, {generation_id: await logs.server_ms(redis) - 1})
        assert generation_id in await _overdue(eventlog, redis, keys)
        assert await eventlog.requeue(generation_id) == (ReplyCode.OK, delivery, "")
        assert (await eventlog.requeue(generation_id)).code is ReplyCode.NOT_DUE
        assert generation_id not in await _overdue(eventlog, redis, keys)


@pytest.mark.rule("R10", "R24")
async def test_a_live_owner_is_not_overdue(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Its lease moves the deadline; a lost owner's does not, and a score from a clock ahead is no excuse."""
    generation_id, _ = await logs.running(eventlog)
    deadlines = keys.deadlines(partition_of(generation_id))
    await redis.zadd(deadlines, {generation_id: 1})
    assert (await eventlog.requeue(generation_id)).code is ReplyCode.NOT_DUE
    assert await redis.zscore(deadlines, generation_id) == int(
        (await logs.meta_fields(redis, keys, generation_id))["lease"]
    )
    await logs.expire_lease(redis, keys, generation_id)
    await redis.zadd(deadlines, {generation_id: await logs.server_ms(redis) + 3_600_000})
    assert generation_id in await _overdue(eventlog, redis, keys)
    assert (await eventlog.requeue(generation_id)).code is ReplyCode.OK


@pytest.mark.rule("R16", "R24")
async def test_the_sweep_learns_what_take_would_say(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """PAST_DEADLINE, EXHAUSTED and INTERRUPTED need no free slot to be found."""
    late, _ = await logs.running(eventlog)
    await logs.set_meta(redis, keys, late, deadline=await logs.server_ms(redis) - 1)
    assert (await eventlog.requeue(late)).code is ReplyCode.PAST_DEADLINE
    broken, _ = await logs.running(eventlog, on_interrupt="fail")
    used_up = await logs.created(eventlog)
    for n in range(3):
        await eventlog.take(used_up, str(n))
        await logs.expire_lease(redis, keys, used_up)
    for generation_id in (broken, used_up):
        await logs.expire_lease(redis, keys, generation_id)
        await redis.zadd(keys.deadlines(partition_of(generation_id)), {generation_id: 1})
    assert await eventlog.requeue(broken) == (ReplyCode.INTERRUPTED, 0, "worker_lost")
    assert await eventlog.requeue(used_up) == (ReplyCode.EXHAUSTED, 0, "worker_lost")


@pytest.mark.rule("R10", "R24")
async def test_a_deadline_missed_by_far_waits_one_lease_for_its_owner(
    eventlog: EventLog, redis: Redis, keys: Keys
) -> None:
    """The clock may have jumped: an owner that lives says how much time is left, and goes on."""
    alive, taken = await logs.running(eventlog)
    dead, _ = await logs.running(eventlog)
    for generation_id in (alive, dead):
        await logs.set_meta(redis, keys, generation_id, deadline=await logs.server_ms(redis) - 3_600_000)
        assert (await eventlog.requeue(generation_id)).code is ReplyCode.NOT_DUE
        assert generation_id not in await _overdue(eventlog, redis, keys)
    await logs.renew(eventlog, alive, taken.epoch, remaining_s=50.0)
    for generation_id in (alive, dead):
        await logs.expire_lease(redis, keys, generation_id)
        await redis.zadd(keys.deadlines(partition_of(generation_id)), {generation_id: 1})
    assert (await eventlog.requeue(alive)).code is ReplyCode.OK
    assert (await eventlog.requeue(dead)).code is ReplyCode.PAST_DEADLINE


@pytest.mark.rule("R10", "R24")
@pytest.mark.parametrize("missed_ms", [6_000, -3_600_000])
async def test_a_lease_nobody_could_look_at_waits_for_its_owner(
    eventlog: EventLog, redis: Redis, keys: Keys, missed_ms: int
) -> None:
    """The server was away, or its clock jumped: who lives renews within half a lease, even where a second
    attempt is not allowed; who does not is lost after it, and no delivery that waits is told HELD."""
    alive, taken = await logs.running(eventlog, on_interrupt="fail")
    dead, _ = await logs.running(eventlog)
    for generation_id in (alive, dead):
        await logs.set_meta(redis, keys, generation_id, lease=await logs.server_ms(redis) - missed_ms)
        await redis.zadd(keys.deadlines(partition_of(generation_id)), {generation_id: 1})
        assert (await eventlog.requeue(generation_id)).code is ReplyCode.NOT_DUE
        assert generation_id not in await _overdue(eventlog, redis, keys)
    assert (await eventlog.take(dead, "other")).code is ReplyCode.HELD
    assert (await logs.renew(eventlog, alive, taken.epoch)).code is ReplyCode.OK
    await logs.set_meta(redis, keys, dead, lease=await logs.server_ms(redis) - 1)
    await redis.zadd(keys.deadlines(partition_of(dead)), {dead: 1})
    assert (await eventlog.requeue(dead)).code is ReplyCode.OK
    await redis.zadd(keys.deadlines(partition_of(dead)), {dead: 1})
    assert (await eventlog.requeue(dead)).code is ReplyCode.OK
    assert (await eventlog.take(dead, "other")).code is ReplyCode.OK


@pytest.mark.rule("R24")
async def test_a_sweep_from_a_clock_ahead_counts_as_over(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Or nobody would sweep for as long as the clock fell back."""
    generation_id = await logs.created(eventlog)
    await redis.zadd(keys.deadlines(partition_of(generation_id)), {generation_id: 1})
    await redis.set(keys.swept, 1, px=3_600_000)
    assert generation_id in await eventlog.overdue(1.0)
    assert await eventlog.overdue(1.0) == []


@pytest.mark.rule("R10")
async def test_a_deadline_from_a_clock_ahead_is_clamped(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """A server whose clock fell back strands nothing for the difference."""
    generation_id = await logs.created(eventlog, deadline_s=60.0)
    now = await logs.server_ms(redis)
    await logs.set_meta(redis, keys, generation_id, deadline=now + 3_600_000)
    assert (await eventlog.take(generation_id, "one")).remaining_s == 60.0
    await eventlog.requeue(generation_id)
    assert now + 60_000 <= int((await logs.meta_fields(redis, keys, generation_id))["deadline"]) <= now + 61_000


@pytest.mark.rule("R2", "R7")
async def test_a_lost_take_is_written_again_as_it_was(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """BEHIND, heal, and the same ids and bytes as before the failover."""
    generation_id = await logs.created(eventlog)
    snapshot = [(key, await redis.dump(key)) for key in (keys.meta(generation_id), keys.log(generation_id))]
    taken = await eventlog.take(generation_id, "one")
    batch = logs.tokens(generation_id, taken.epoch, 1, "a", "b")
    await logs.append(eventlog, batch)
    before = await logs.whole_log(redis, keys, generation_id)
    for key, value in snapshot:
        await redis.restore(key, 0, value, replace=True)
    assert (await logs.append(eventlog, batch)).code is ReplyCode.BEHIND
    assert (await logs.renew(eventlog, generation_id, taken.epoch)).code is ReplyCode.BEHIND
    assert await eventlog.heal(generation_id, "one", taken) is ReplyCode.OK
    assert await eventlog.heal(generation_id, "one", taken) is ReplyCode.OK
    assert await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 2, "b")) == SeqReply(ReplyCode.GAP, 0)
    assert await logs.append(eventlog, batch) == SeqReply(ReplyCode.OK, 2)
    assert before == await logs.whole_log(redis, keys, generation_id)
    fields = await logs.meta_fields(redis, keys, generation_id)
    assert (fields["status"], fields["attempt"], fields["counted"], fields["owner"]) == ("running", "1", "1", "one")
    assert (await eventlog.take(generation_id, "one")).epoch == taken.epoch


@pytest.mark.rule("R16")
async def test_an_epoch_the_log_has_lost_may_still_be_released(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Healing never lowers what is counted."""
    generation_id, taken = await logs.running(eventlog)
    lost = taken._replace(epoch=taken.epoch + 70_000, attempt=2, counted=0, reason="worker_lost")
    assert (await eventlog.release(generation_id, lost.epoch, "worker_shutdown")).code is ReplyCode.OK
    assert await eventlog.heal(generation_id, "two", lost) is ReplyCode.OK
    fields = await logs.meta_fields(redis, keys, generation_id)
    assert (fields["attempt"], fields["counted"], fields["released"]) == ("2", "1", "0")
