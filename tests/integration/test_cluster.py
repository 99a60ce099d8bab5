"""The log plane on a real Redis Cluster: everything that is said of one server holds of many."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest

from outlive.api.fanout.log_subscribers import LogSubscribers
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


async def nothing() -> None:
    """While half of a slot's keys have moved."""


class Heard:
    """What the logs of a cluster pushed, by key."""

    def __init__(self) -> None:
        self.messages: dict[str, list[bytes]] = {}
        self.subscribed_keys: list[str] = []
        self.lost_keys: list[str] = []

    def deliver(self, messages: Sequence[tuple[str, bytes]]) -> int:
        for key, payload in messages:
            self.messages.setdefault(key, []).append(payload)
        return 0

    def subscribed(self, key: str) -> None:
        self.subscribed_keys.append(key)

    def unsubscribed(self, key: str) -> None:
        self.lost_keys.append(key)


@pytest.mark.rule("R54", "R77")
async def test_each_node_pushes_what_its_logs_say_over_one_connection(
    cluster: RedisCluster, plane: LogPlane, keys: Keys, eventlog: EventLog
) -> None:
    """However many partitions it has; and a log whose slot moves is heard from the node it moved to."""
    taken = [await logs.running(eventlog) for _ in range(12)]
    heard, subscribers = Heard(), LogSubscribers(plane, lease_s=10)
    listening = asyncio.create_task(subscribers.run(heard))
    try:
        for generation_id, _ in taken:
            subscribers.watch(keys.log(generation_id))
        await until(lambda: len(set(heard.subscribed_keys)) == 12, 10, "all channels")
        assert len(subscribers._subscribers) == len({await cluster.owner(slot_of(keys.log(i))) for i, _ in taken})
        await eventlog.append([logs.tokens(i, take.epoch, 1, "a") for i, take in taken])
        await until(lambda: [len(m) for m in heard.messages.values()] == [1] * 12, 10, "what came")

        moved, take = taken[0]
        key = keys.log(moved)
        source = await cluster.owner(slot_of(key))
        target = next(node for node in cluster.primaries if node is not source)
        await cluster.move(slot_of(key), target, between=nothing)
        await until(lambda: key in heard.lost_keys, 10, "the end of the channel")
        await until(lambda: heard.subscribed_keys.count(key) == 2, 10, "the channel where it is now")
        await eventlog.append([logs.tokens(moved, take.epoch, 2, "b")])
        await until(lambda: len(heard.messages[key]) == 2, 10, "what came from there")
    finally:
        listening.cancel()
        await asyncio.wait({listening})


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
