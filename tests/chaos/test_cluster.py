"""Logs on a Redis Cluster: a primary is killed, or a partition moves. Answers pause and lose nothing."""

from collections.abc import AsyncIterator

import pytest

from outlive.shared.store.slots import slot_of
from tests.chaos.external_redis import ExternalRedisDeployment
from tests.chaos.fault_run import FaultRun, WatchedAnswer
from tests.support.redis_cluster import Node, RedisCluster
from tests.support.redis_server import RedisServer
from tests.support.stack import QUICK, chat
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.long]

NODE_TIMEOUT_S = 1.0
FAILOVER_S = 15.0
"""How long a cluster may take to replace a primary. By its timeouts it is about twice the one above; here its
nodes share two cores with everything else."""


CHUNKS_BETWEEN = 25
"""What the provider sends while half of a partition has moved: half a second of output."""


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncIterator[RedisCluster]:
    partly = ["--cluster-require-full-coverage", "no"]
    async with RedisCluster(timeout_s=NODE_TIMEOUT_S, options=partly) as running:
        yield running


@pytest.fixture(scope="module")
async def deployment(anyio_backend: str, cluster: RedisCluster) -> AsyncIterator[ExternalRedisDeployment]:
    """The queue is on a Redis of its own."""
    queue = RedisServer(name="queue")
    await queue.start()
    try:
        async with ExternalRedisDeployment(queue.url, cluster.url, cluster.repair) as running:
            yield running
    finally:
        await queue.stop()


async def owner(cluster: RedisCluster, answer: WatchedAnswer, run: FaultRun) -> Node:
    """The node that has this answer's log."""
    return await cluster.owner(slot_of(run.deployment.stack.keys.log(answer.generation_id)))


@pytest.mark.rule("R1", "R2", "R7", "R54")
@pytest.mark.fault("cluster: a primary killed, 100 answers")
async def test_a_primary_killed(run: FaultRun, cluster: RedisCluster) -> None:
    """A third of the logs has no server until the replica is promoted. No attempt is lost, and the workers write
    again what the replica did not have."""
    answers = [await run.start_answer(viewers=1, pace_s=0.05, tokens=120) for _ in range(100)]
    await run.wait_for_events(tokens=2)
    dead = await owner(cluster, answers[0], run)
    theirs = [answer for answer in answers if await owner(cluster, answer, run) is dead]
    run.fault_begins()
    dead.kill()
    await cluster.promoted(dead)
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=0.05 * 120 + FAILOVER_S, recovering=theirs)
    assert {answer.snapshot["status"] for answer in answers} == {"completed"}
    assert {tuple(answer.reasons) for answer in answers} == {("started",)}
    assert run.notes["resets"] == 0


@pytest.mark.rule("R1", "R7", "R54")
@pytest.mark.fault("cluster: a partition moved key by key")
async def test_a_partition_moved_key_by_key(run: FaultRun, cluster: RedisCluster) -> None:
    """While the keys of one generation are on two nodes, neither node runs a script on them: the answer pauses."""
    answer = await run.start_answer(viewers=3, pace_s=0.02, tokens=150)
    await run.wait_for_events(tokens=5)
    slot = slot_of(run.deployment.stack.keys.log(answer.generation_id))
    source = await cluster.owner(slot)
    target = next(node for node in await cluster.owners() if node is not source)

    async def chunks_sent() -> int:
        return int((await run.deployment.provider_requests(answer.model))[-1]["chunks_sent"])

    async def pause() -> None:
        # Half of the keys are on each node, for as long as a large partition would take to move.
        before = await chunks_sent()

        async def provider_went_on() -> bool:
            return await chunks_sent() >= before + CHUNKS_BETWEEN

        await until(provider_went_on, 10, f"{CHUNKS_BETWEEN} more chunks from the provider")

    run.fault_begins()
    await cluster.move(slot, target, between=pause)
    run.fault_ends()
    late = await run.add_viewer(answer)
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=5)
    assert answer.reasons == ["started"]
    assert run.notes["resets"] == 0
    assert late.transcript.terminal is not None
    assert await owner(cluster, answer, run) is target


@pytest.mark.rule("R1", "R7", "R54")
@pytest.mark.fault("cluster: a partition moved at once")
async def test_a_partition_moved_at_once(run: FaultRun, cluster: RedisCluster) -> None:
    """If the server can do it (Valkey 9): the keys of a partition are never on two nodes."""
    answer = await run.start_answer(viewers=3, pace_s=0.02, tokens=150)
    await run.wait_for_events(tokens=5)
    slot = slot_of(run.deployment.stack.keys.log(answer.generation_id))
    source = await cluster.owner(slot)
    target = next(node for node in await cluster.owners() if node is not source)
    run.fault_begins()
    if not await cluster.move_at_once(slot, target):
        pytest.skip("this server moves slots key by key only")
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=5)
    assert answer.reasons == ["started"]
    assert run.notes["resets"] == 0


@pytest.mark.rule("R1", "R7", "R54")
@pytest.mark.fault("cluster: a primary killed with its replica, 12 answers")
async def test_the_others_go_on(run: FaultRun, cluster: RedisCluster) -> None:
    """A third of the logs is unreachable. The other answers complete meanwhile, and new ones begin and complete.
    When the servers are back, the attempts that waited for them go on."""
    answers = [await run.start_answer(viewers=1, pace_s=0.02, tokens=100) for _ in range(12)]
    await run.wait_for_events(tokens=2)
    dead = await owner(cluster, answers[0], run)
    lost = [answer for answer in answers if await owner(cluster, answer, run) is dead]
    run.fault_begins()
    await cluster.kill_with_replica(dead)
    ended = [answer for answer in answers if answer not in lost]
    for answer in ended:
        assert (await run.deployment.stack.closed(answer.generation_id))["status"] == "completed"
    fresh = 0
    while fresh < 3:
        answered = await run.deployment.stack.post(chat(QUICK))
        if answered.status == 201:
            assert (await run.deployment.stack.closed(answered.json()["id"]))["status"] == "completed"
            fresh += 1
    assert not dead.running
    await cluster.repair()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=2 + FAILOVER_S, recovering=lost)
    assert {answer.snapshot["status"] for answer in answers} == {"completed"}
    assert {tuple(answer.reasons) for answer in answers} == {("started",)}
