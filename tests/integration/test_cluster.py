"""The log plane on a real Redis Cluster: everything that is said of one server holds of many."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from outlive.api.fanout.tail_readers import TailReaders
from outlive.shared.errors import UnfitRedis
from outlive.shared.log.eventlog import EventLog, LogLimits
from outlive.shared.log.listing import Listing
from outlive.shared.log.reader import LogReader
from outlive.shared.log.replies import ReplyCode
from outlive.shared.log.viewer_counts import ViewerCounts
from outlive.shared.model.cursor import START
from outlive.shared.store.keyspace import Keys, partition_of
from outlive.shared.store.plane import LogPlane, open_log_plane
from outlive.shared.store.replicas import Replicas, Standing
from outlive.shared.store.requirements import require_fit
from outlive.shared.store.slots import slot_of
from tests.e2e.test_doctor import examine
from tests.integration import logs
from tests.support.redis_cluster import Node, RedisCluster
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncIterator[RedisCluster]:
    """Nobody dies here, so nobody is declared dead on a busy machine either."""
    async with RedisCluster(timeout_s=5) as running:
        yield running


@pytest.fixture
async def plane(cluster: RedisCluster) -> AsyncIterator[LogPlane]:
    async with aclosing(open_log_plane(cluster.url)) as made:
        yield made


@pytest.fixture
def eventlog(plane: LogPlane, keys: Keys) -> EventLog:
    return EventLog(plane.client, keys, logs.LIMITS)


async def _times_s(cluster: RedisCluster) -> list[float]:
    """The clocks of all primaries, in Unix seconds."""
    times = [await node.ask("TIME") for node in cluster.primaries]
    return [int(seconds) + int(micros) / 1e6 for seconds, micros in times]


async def _calls(cluster: RedisCluster, command: str) -> int:
    """How often all nodes were asked this, by their own count."""
    stats = [await node.ask("INFO", "commandstats") for node in cluster.nodes]
    return sum(said.get(f"cmdstat_{command}", {"calls": 0})["calls"] for said in stats)


@pytest.mark.rule("R54")
async def test_one_pipeline_reaches_all_nodes(
    cluster: RedisCluster, eventlog: EventLog, plane: LogPlane, keys: Keys
) -> None:
    """Forty generations are written and closed in pipelines over all three primaries, in one answer each;
    no node is asked where a command's keys are."""
    taken = [await logs.running(eventlog) for _ in range(40)]
    asked = await _calls(cluster, "command|getkeys")
    owners = {(await cluster.owner(slot_of(keys.log(i)))).port for i, _ in taken}
    assert len(owners) == 3
    replies = await eventlog.append([logs.tokens(i, take.epoch, 1, "a", "b") for i, take in taken])
    assert {getattr(reply, "code", reply) for reply in replies} == {ReplyCode.OK}
    replies = await eventlog.append([logs.completion(i, take.epoch, 3) for i, take in taken])
    assert {getattr(reply, "code", reply) for reply in replies} == {ReplyCode.OK}
    reader = LogReader(plane.client, keys)
    assert [len(await reader.page(i, START)) for i, _ in taken] == [5] * 40
    assert await _calls(cluster, "command|getkeys") == asked


@pytest.mark.rule("R54")
async def test_a_node_that_forgot_its_scripts_is_told_them_again(cluster: RedisCluster, eventlog: EventLog) -> None:
    """As a replica that was promoted has: each node is told for itself."""
    taken = [await logs.running(eventlog) for _ in range(20)]
    await cluster.primaries[1].ask("SCRIPT", "FLUSH")
    replies = await eventlog.append([logs.tokens(i, take.epoch, 1, "a") for i, take in taken])
    assert {getattr(reply, "code", reply) for reply in replies} == {ReplyCode.OK}


@pytest.mark.rule("R24", "R54")
async def test_the_sweep_looks_at_all_partitions_and_one_asks(
    cluster: RedisCluster, plane: LogPlane, keys: Keys
) -> None:
    """The first sweep of a period gets what is overdue on any node; the second gets nothing."""
    lease_s = 0.05
    eventlog = EventLog(plane.client, keys, LogLimits(lease_s, 3, 60, 60))
    made = {await logs.created(eventlog) for _ in range(30)}
    assert len({partition_of(generation_id) for generation_id in made}) > 10
    latest = max(await _times_s(cluster)) + lease_s

    async def leases_passed() -> bool:
        return min(await _times_s(cluster)) > latest

    # By the clocks of the nodes. Asking the sweep itself would use up its turn.
    await until(leases_passed, 5.0, "a lease has passed on every node")
    assert set(await eventlog.overdue(60)) == made
    assert await eventlog.overdue(60) == []


@pytest.mark.rule("R35", "R36", "R54")
async def test_the_list_and_the_viewers_are_of_all_nodes(plane: LogPlane, keys: Keys, eventlog: EventLog) -> None:
    """Newest first over all partitions, by the clocks of their nodes; counts told by one process are
    read by another."""
    made = [await logs.created(eventlog) for _ in range(30)]
    listing = Listing(plane.client, keys)
    first = await listing.page(logs.TENANT, None, 20)
    rest = await listing.page(logs.TENANT, first[-1], 20)
    assert [*first, *rest] == sorted([*first, *rest], reverse=True)
    assert {place.id for place in [*first, *rest]} == set(made)
    counts = ViewerCounts(plane.client, keys)
    await counts.stay_alive({partition_of(generation_id) for generation_id in made})
    assert await counts.tell(dict.fromkeys(made, 2)) == set()
    assert [await ViewerCounts(plane.client, keys).elsewhere(i) for i in made] == [2] * 30


@pytest.mark.rule("R54")
async def test_one_blocking_read_per_partition_with_live_feeds(
    cluster: RedisCluster, plane: LogPlane, keys: Keys, eventlog: EventLog
) -> None:
    """Two feeds in one partition share it, and every event arrives whichever node has it."""
    taken = [await logs.running(eventlog) for _ in range(12)]
    partitions = {partition_of(i) for i, _ in taken}
    seen: dict[str, int] = {}

    def deliver(tails: object) -> int:
        assert isinstance(tails, dict)
        seen.update({key: seen.get(key, 0) + len(events) for key, events in tails.items()})
        return 0

    tails = TailReaders(plane, deliver, lambda: None)
    reading = asyncio.create_task(tails.run())
    try:
        for generation_id, _ in taken:
            tails.watch(keys.log(generation_id), START)
        await until(lambda: list(seen.values()) == [2] * 12, 10, "what was there")

        async def blocked() -> bool:
            infos = [await node.ask("INFO", "clients") for node in cluster.nodes]
            return sum(int(info["blocked_clients"]) for info in infos) == len(partitions)

        await until(blocked, 10, "a read for each partition")
        await eventlog.append([logs.tokens(i, take.epoch, 1, "a") for i, take in taken])
        await until(lambda: list(seen.values()) == [3] * 12, 10, "what came")
        assert await _calls(cluster, "command|getkeys") == 0
    finally:
        reading.cancel()
        await asyncio.wait({reading})


@pytest.mark.rule("R26", "R54")
async def test_each_primary_is_asked_for_its_own_replica(
    cluster: RedisCluster, plane: LogPlane, keys: Keys, eventlog: EventLog
) -> None:
    """Where the replica is gone nothing can be waited for; the others' have what was written."""
    made = [await logs.created(eventlog) for _ in range(20)]
    lonely = [i for i in made if await cluster.owner(slot_of(keys.log(i))) is cluster.primaries[0]]
    async with aclosing(Replicas(plane, keys)) as replicas:
        assert set((await replicas.standing(made)).values()) == {Standing.COPIED}
        cluster.replicas[0].kill()

        async def left_alone() -> bool:
            info = await cluster.primaries[0].ask("INFO", "replication")
            return bool(info["connected_slaves"] == 0)

        await until(left_alone, 10, "the primary noticed")
        found = await replicas.standing(made)
    assert {i for i, standing in found.items() if standing is Standing.ALONE} == set(lonely)
    assert {standing for i, standing in found.items() if i not in lonely} == {Standing.COPIED}
    await cluster.repair()


@pytest.mark.rule("R25", "R54")
async def test_one_unfit_node_is_enough_to_refuse(cluster: RedisCluster, plane: LogPlane) -> None:
    """Every primary is looked at; the doctor says which one it is."""
    await require_fit(await plane.servers())
    guilty: Node = cluster.primaries[2]
    await guilty.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(UnfitRedis, match="noeviction"):
            await require_fit(await plane.servers())
        queue = f"redis://127.0.0.1:{cluster.primaries[0].port}"
        code, said = await examine({"OUTLIVE_REDIS_URL": queue, "OUTLIVE_LOG_URL": cluster.url}, "--no-upstream")
    finally:
        await guilty.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert code == 1
    assert f"redis 127.0.0.1:{guilty.port}: Redis may evict logs" in said, said
