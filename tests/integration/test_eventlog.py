"""Beginning, writing, holding on and handing over: every answer of PROTOCOL.md, Verbs, on a real server."""

import pytest
from redis.asyncio import Redis

from outlive.shared.log.eventlog import EventLog, Renewal
from outlive.shared.log.replies import LOST, ReplyCode, SeqReply
from outlive.shared.model.cursor import Cursor
from outlive.shared.store.keyspace import Keys, partition_of
from tests.integration import logs

pytestmark = pytest.mark.anyio

_LEASE_MS = 10_000


@pytest.mark.rule("R3")
async def test_create_writes_the_first_event_and_lists_it(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Meta, `queued`, request, index and deadline, all or nothing."""
    new = logs.new_generation()
    before = await logs.server_ms(redis)
    reply = await eventlog.create(new)
    assert (reply.code, reply.status) == (ReplyCode.NEW, "queued")
    assert before / 1000 <= reply.created_at <= await logs.server_ms(redis) / 1000
    assert await logs.said(redis, keys, new.id) == [
        ("queued", {"id": new.id, "model": new.model, "created_at": reply.created_at})
    ]
    partition = partition_of(new.id)
    assert await redis.get(keys.request(new.id)) == new.request
    assert await redis.zscore(keys.index(partition, logs.TENANT), new.id) == round(reply.created_at * 1000)
    due = await redis.zscore(keys.deadlines(partition), new.id)
    assert due == round(reply.created_at * 1000) + _LEASE_MS
    assert "request" not in await logs.meta_fields(redis, keys, new.id)


@pytest.mark.rule("R3", "R7")
async def test_creating_again_is_the_same_generation(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """A lost reply and a repeated key are one case; another body is a conflict; nothing is written."""
    new = logs.new_generation()
    first = await eventlog.create(new)
    assert await eventlog.create(new) == first._replace(code=ReplyCode.EXISTING)
    other = await eventlog.create(logs.new_generation(new.id, body_hash="other"))
    assert other.code is ReplyCode.CONFLICT
    assert len(await logs.whole_log(redis, keys, new.id)) == 1
    await eventlog.cancel(new.id)
    assert (await eventlog.create(new)).status == "cancelled"


@pytest.mark.rule("R2", "R16")
async def test_take_begins_an_attempt(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """A new epoch with the `attempt` at its seq 0; the reply carries all a worker needs."""
    new = logs.new_generation(on_interrupt="fail")
    await eventlog.create(new)
    taken = await eventlog.take(new.id, "one")
    assert (taken.code, taken.attempt, taken.counted, taken.reason, taken.may_restart, taken.request) == (
        ReplyCode.OK, 1, 1, "started", False, new.request,
    )  # fmt: skip
    assert 59 < taken.remaining_s <= 60
    queued, attempt = await logs.whole_log(redis, keys, new.id)
    assert attempt.cursor == taken.cursor > queued.cursor
    assert (attempt.type, attempt.data) == (b"attempt", b'{"attempt":1,"reason":"started"}')


@pytest.mark.rule("R2")
async def test_an_epoch_is_milliseconds_of_redis_and_noise(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """max(previous, TIME) + 1 + random(0..65535): also when the server's clock fell back."""
    generation_id = await logs.created(eventlog)
    now = await logs.server_ms(redis)
    assert (
        now < (await logs.whole_log(redis, keys, generation_id))[0].cursor.epoch <= await logs.server_ms(redis) + 65_536
    )
    ahead = now + 3_600_000
    await logs.set_meta(redis, keys, generation_id, epoch=ahead)
    taken = await eventlog.take(generation_id, "one")
    assert ahead < taken.epoch <= ahead + 65_536


@pytest.mark.rule("R7")
async def test_taking_again_with_the_same_token_says_it_again(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """The reply was lost; nothing is written, the attempt is not counted twice."""
    generation_id, taken = await logs.running(eventlog)
    again = await eventlog.take(generation_id, "one")
    assert again._replace(remaining_s=taken.remaining_s, age_s=taken.age_s) == taken
    assert len(await logs.whole_log(redis, keys, generation_id)) == 2


@pytest.mark.rule("R10")
async def test_a_live_owner_holds_its_generation(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """HELD until the lease ends; then the next attempt says why the last one ended."""
    generation_id, taken = await logs.running(eventlog)
    assert (await eventlog.take(generation_id, "two")).code is ReplyCode.HELD
    await logs.expire_lease(redis, keys, generation_id)
    second = await eventlog.take(generation_id, "two")
    assert (second.code, second.attempt, second.counted, second.reason) == (ReplyCode.OK, 2, 2, "worker_lost")
    assert second.epoch > taken.epoch


@pytest.mark.rule("R10")
async def test_a_lease_from_a_clock_ahead_counts_as_expired(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Nobody can hold longer than one lease, whatever the former server's clock said."""
    generation_id, _ = await logs.running(eventlog)
    await logs.set_meta(redis, keys, generation_id, lease=await logs.server_ms(redis) + 3_600_000)
    assert (await eventlog.take(generation_id, "two")).code is ReplyCode.OK


@pytest.mark.rule("R16")
async def test_attempts_that_were_lost_are_used_up(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Three are allowed; hand-overs in between cost nothing; the fourth take writes nothing."""
    generation_id = await logs.created(eventlog)
    for n in range(1, 4):
        taken = await eventlog.take(generation_id, f"lost {n}")
        assert (taken.code, taken.counted) == (ReplyCode.OK, n)
        for turn in range(2):
            assert (await eventlog.release(generation_id, taken.epoch, "worker_shutdown")).code is ReplyCode.OK
            taken = await eventlog.take(generation_id, f"next {n} {turn}")
            assert (taken.code, taken.counted, taken.reason) == (ReplyCode.OK, n, "worker_shutdown")
        await logs.expire_lease(redis, keys, generation_id)
    before = await logs.whole_log(redis, keys, generation_id)
    exhausted = await eventlog.take(generation_id, "four")
    assert (exhausted.code, exhausted.reason) == (ReplyCode.EXHAUSTED, "worker_lost")
    assert before == await logs.whole_log(redis, keys, generation_id)


@pytest.mark.rule("R16")
async def test_an_answer_that_may_not_restart_is_interrupted(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """`on_interrupt: fail`: what was said stands, the caller finishes."""
    generation_id, taken = await logs.running(eventlog, on_interrupt="fail")
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a"))
    assert (await eventlog.take(generation_id, "two")).code is ReplyCode.HELD
    await eventlog.release(generation_id, taken.epoch, "upstream_interrupted")
    interrupted = await eventlog.take(generation_id, "two")
    assert (interrupted.code, interrupted.reason) == (ReplyCode.INTERRUPTED, "upstream_interrupted")
    assert len(await logs.whole_log(redis, keys, generation_id)) == 3


@pytest.mark.rule("R2", "R4")
async def test_append_writes_what_follows(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Seqs without a hole, totals set, lease renewed; the deadline score is not touched."""
    generation_id, taken = await logs.running(eventlog)
    await logs.expire_lease(redis, keys, generation_id)
    due = await redis.zscore(keys.deadlines(partition_of(generation_id)), generation_id)
    assert await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "ab", "c", chars=0)) == SeqReply(
        ReplyCode.OK, 2
    )
    assert await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 3, "d", chars=3)) == SeqReply(
        ReplyCode.OK, 3
    )
    cursors = [entry.cursor for entry in await logs.whole_log(redis, keys, generation_id)]
    assert cursors[1:] == [Cursor(taken.epoch, seq) for seq in range(4)]
    fields = await logs.meta_fields(redis, keys, generation_id)
    assert (fields["seq"], fields["chars"], fields["tokens"]) == ("3", "4", "4")
    assert int(fields["lease"]) > await logs.server_ms(redis)
    assert due == await redis.zscore(keys.deadlines(partition_of(generation_id)), generation_id)


@pytest.mark.rule("R4", "R7")
async def test_append_never_doubles_and_never_skips(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """DUP for what is in, the rest of what overlaps, GAP for what would leave a hole."""
    generation_id, taken = await logs.running(eventlog)
    whole = logs.tokens(generation_id, taken.epoch, 1, "a", "b", "c")
    assert await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a", "b")) == SeqReply(
        ReplyCode.OK, 2
    )
    assert await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a")) == SeqReply(ReplyCode.DUP, 2)
    assert (await logs.meta_fields(redis, keys, generation_id))["chars"] == "2"
    assert await logs.append(eventlog, whole) == SeqReply(ReplyCode.OK, 3)
    assert await logs.append(eventlog, whole) == SeqReply(ReplyCode.DUP, 3)
    assert await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 5, "e")) == SeqReply(ReplyCode.GAP, 3)
    texts = [data["text"] for kind, data in await logs.said(redis, keys, generation_id) if kind == "token"]
    assert texts == ["a", "b", "c"]


@pytest.mark.rule("R4", "R6")
async def test_an_older_epoch_writes_nothing(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """FENCED from the moment of the take, before the new owner's first event."""
    generation_id, old = await logs.running(eventlog)
    await logs.append(eventlog, logs.tokens(generation_id, old.epoch, 1, "a"))
    await logs.expire_lease(redis, keys, generation_id)
    await eventlog.take(generation_id, "two")
    before = (
        await logs.whole_log(redis, keys, generation_id),
        await logs.meta_fields(redis, keys, generation_id),
    )
    answers = [
        (await logs.append(eventlog, logs.tokens(generation_id, old.epoch, 2, "z"))).code,
        (await logs.append(eventlog, logs.tokens(generation_id, old.epoch, 1, "a"))).code,
        (await logs.append(eventlog, logs.completion(generation_id, old.epoch, 2))).code,
        (await logs.renew(eventlog, generation_id, old.epoch)).code,
        (await eventlog.release(generation_id, old.epoch, "worker_shutdown")).code,
        await eventlog.heal(generation_id, "one", old),
    ]
    assert set(answers) == {ReplyCode.FENCED} < LOST
    assert before == (
        await logs.whole_log(redis, keys, generation_id),
        await logs.meta_fields(redis, keys, generation_id),
    )


@pytest.mark.rule("R4", "R5", "R6")
async def test_after_the_terminal_nothing_is_written(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """CLOSED for everybody; DUP for the owner who asks about what is in."""
    generation_id, taken = await logs.running(eventlog)
    last = logs.completion(generation_id, taken.epoch, 2)
    assert await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a"), last) == SeqReply(
        ReplyCode.OK, 2
    )
    before = (
        await logs.whole_log(redis, keys, generation_id),
        await logs.meta_fields(redis, keys, generation_id),
    )
    assert before[1]["terminal"] == f"{taken.epoch}-2"
    assert await logs.append(eventlog, last) == SeqReply(ReplyCode.DUP, 2)
    assert (await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 3, "z"))).code is ReplyCode.CLOSED
    assert (await logs.append(eventlog, logs.tokens(generation_id, taken.epoch + 1, 1, "z"))).code is ReplyCode.CLOSED
    assert (await logs.renew(eventlog, generation_id, taken.epoch)).code is ReplyCode.CLOSED
    assert (await eventlog.take(generation_id, "one")).code is ReplyCode.CLOSED
    assert (await eventlog.release(generation_id, taken.epoch, "worker_shutdown")).code is ReplyCode.CLOSED
    assert await eventlog.heal(generation_id, "one", taken) is ReplyCode.CLOSED
    assert await eventlog.requeue(generation_id) == (ReplyCode.CLOSED, 0, "")
    assert await eventlog.fail(generation_id, "internal", "no", retryable=False) == (ReplyCode.ALREADY, "completed")
    assert before == (
        await logs.whole_log(redis, keys, generation_id),
        await logs.meta_fields(redis, keys, generation_id),
    )


async def test_renew_tells_how_far_the_log_is(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """It moves lease, deadline and score, the score never past the time its owner has left."""
    generation_id, taken = await logs.running(eventlog, deadline_s=12.0)
    await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a", "b"))
    deadlines = keys.deadlines(partition_of(generation_id))
    await redis.zadd(deadlines, {generation_id: 1})
    await logs.expire_lease(redis, keys, generation_id)
    before = await logs.server_ms(redis)
    assert await logs.renew(eventlog, generation_id, taken.epoch) == SeqReply(ReplyCode.OK, 2)
    fields = await logs.meta_fields(redis, keys, generation_id)
    assert before + _LEASE_MS <= int(fields["lease"]) <= before + _LEASE_MS + 1000
    assert await redis.zscore(deadlines, generation_id) == int(fields["lease"])
    await logs.renew(eventlog, generation_id, taken.epoch, remaining_s=0.5)
    fields = await logs.meta_fields(redis, keys, generation_id)
    assert before + 500 <= int(fields["deadline"]) <= before + 1500
    assert await redis.zscore(deadlines, generation_id) == int(fields["deadline"])


async def test_one_pipeline_answers_for_each(eventlog: EventLog) -> None:
    """In order, whatever the others' answers; to ask about none is no question."""
    (one, first), (two, second) = await logs.running(eventlog), await logs.running(eventlog)
    await eventlog.cancel(two)
    replies = await eventlog.renew(
        [Renewal(one, first.epoch, 60.0), Renewal(two, second.epoch, 60.0), Renewal("gen_none", 1, 60.0)]
    )
    assert [(reply.code, reply.seq) for reply in replies if isinstance(reply, SeqReply)] == [
        (ReplyCode.OK, 0),
        (ReplyCode.CLOSED, -1),
        (ReplyCode.GONE, -1),
    ]
    assert await eventlog.renew([]) == []
    await eventlog.check(eventlog.groups[0])


@pytest.mark.rule("R78")
async def test_renewals_of_many_generations_are_judged_one_by_one(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Sent together, answered in order: what is wrong with one takes no lease from another."""
    attempts = [await logs.running(eventlog) for _ in range(200)]
    (lost, _), (gone, _), (done, _), (released, its) = attempts[:4]
    await logs.expire_lease(redis, keys, lost)
    await eventlog.take(lost, "two")
    await eventlog.delete(gone, logs.TENANT)
    await eventlog.cancel(done)
    await eventlog.release(released, its.epoch, "worker_shutdown")
    for generation_id, _ in attempts[4:]:
        await logs.expire_lease(redis, keys, generation_id)
    before, calls = await logs.server_ms(redis), await _calls(redis)
    replies = await eventlog.renew([Renewal(generation_id, taken.epoch, 60.0) for generation_id, taken in attempts])
    sent = await _calls(redis) - calls

    codes = [getattr(reply, "code", reply) for reply in replies]
    assert codes == [ReplyCode.FENCED, ReplyCode.GONE, ReplyCode.CLOSED, *[ReplyCode.OK] * 197]
    assert sent <= 2 * 4
    assert (await logs.meta_fields(redis, keys, released))["lease"] == "0"
    for generation_id, _ in attempts[4:]:
        assert int((await logs.meta_fields(redis, keys, generation_id))["lease"]) >= before + _LEASE_MS


async def _calls(redis: Redis) -> int:
    """Scripts that clients have called so far. The first call of a script is sent twice, because it must be loaded."""
    return int((await redis.info("commandstats"))["cmdstat_evalsha"]["calls"])


@pytest.mark.rule("R16")
async def test_release_hands_over_at_once(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """The lease ends and stays ended; what is still in flight may land until the next take."""
    generation_id, taken = await logs.running(eventlog)
    assert await eventlog.release(generation_id, taken.epoch, "worker_shutdown") == (ReplyCode.OK, 2, "")
    assert (await eventlog.release(generation_id, taken.epoch, "worker_shutdown")).code is ReplyCode.OK
    assert await logs.append(eventlog, logs.tokens(generation_id, taken.epoch, 1, "a")) == SeqReply(ReplyCode.OK, 1)
    assert await logs.renew(eventlog, generation_id, taken.epoch) == SeqReply(ReplyCode.OK, 1)
    assert (await logs.meta_fields(redis, keys, generation_id))["lease"] == "0"
    second = await eventlog.take(generation_id, "one")
    assert (second.attempt, second.counted, second.reason) == (2, 1, "worker_shutdown")
    assert await logs.append(eventlog, logs.tokens(generation_id, second.epoch, 1, "a")) == SeqReply(ReplyCode.OK, 1)
    assert int((await logs.meta_fields(redis, keys, generation_id))["lease"]) > 0


@pytest.mark.rule("R4")
async def test_batches_of_many_generations_are_judged_one_by_one(eventlog: EventLog, redis: Redis, keys: Keys) -> None:
    """Sent together, answered in order: what is wrong with one stops no other, nor does a terminal."""
    attempts = [await logs.running(eventlog) for _ in range(200)]
    (lost, _), (gone, _), (done, its) = attempts[:3]
    await logs.expire_lease(redis, keys, lost)
    await eventlog.take(lost, "two")
    await eventlog.delete(gone, logs.TENANT)
    batches = [logs.tokens(generation_id, taken.epoch, 1, "a", "b") for generation_id, taken in attempts]
    batches[3] = logs.tokens(attempts[3][0], attempts[3][1].epoch, 2, "b")
    batches.insert(100, logs.completion(done, its.epoch, 3, chars=2))
    codes = [getattr(reply, "code", reply) for reply in await eventlog.append(batches)]

    assert codes == [ReplyCode.FENCED, ReplyCode.GONE, ReplyCode.OK, ReplyCode.GAP, *[ReplyCode.OK] * 197]
    for generation_id, _ in attempts[4:]:
        assert [event.cursor.seq for event in await logs.whole_log(redis, keys, generation_id)][-2:] == [1, 2]
    assert (await logs.meta_fields(redis, keys, done))["status"] == "completed"
