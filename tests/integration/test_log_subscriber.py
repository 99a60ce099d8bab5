"""The connection on which logs push, while everything happens to it: nothing is missed that is read afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from outlive.api.fanout.hub import Hub
from outlive.api.fanout.open_feed import OpenFeed
from outlive.api.formats.native import UNFOLDED
from outlive.api.metrics import ApiMetrics
from outlive.shared.log.eventlog import EventLog
from outlive.shared.log.reader import LogReader
from outlive.shared.model.cursor import START
from outlive.shared.settings import load
from outlive.shared.store.connect import connect
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import OneServer
from tests.integration import logs
from tests.integration.watched_hub import running_hub
from tests.support.fanout import Screen
from tests.support.redis_server import RedisServer
from tests.support.tcp_fault_proxy import TcpFaultProxy
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R77")]

KEYS = Keys("ol")
LEASE_S = 0.6
"""A subscriber asks for a sign of life every 0.2 s; feeds are compared every 1.2 s."""


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    made = RedisServer(tcp=True)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    client = connect(server.url)
    yield client
    await client.aclose()


@pytest.fixture
async def link(server: RedisServer) -> AsyncIterator[TcpFaultProxy]:
    """Between the subscriber and the server; commands have their own way."""
    proxy = TcpFaultProxy(server.port)
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest.fixture
async def hub(server: RedisServer, redis: Redis, link: TcpFaultProxy) -> AsyncIterator[Hub]:
    url = f"redis://127.0.0.1:{link.port}/0"
    settings = load({"OUTLIVE_REDIS_URL": url, "OUTLIVE_LEASE_S": str(LEASE_S)})
    async with (
        aclosing(OneServer(url)) as plane,
        running_hub(Hub(settings, LogReader(redis, KEYS), plane, ApiMetrics())) as made,
    ):
        yield made


class Watched:
    """An answer that grows, and a viewer that must see all of it once."""

    def __init__(self, hub: Hub, redis: Redis) -> None:
        self.screen = Screen()
        self.eventlog = EventLog(redis, KEYS, logs.LIMITS)
        self._hub = hub
        self._redis = redis
        self._seq = 0

    async def begin(self) -> None:
        self.id, self._taken = await logs.running(self.eventlog)
        await self._hub.attach(self.id, START, self.screen, UNFOLDED)
        await until(lambda: self.opened.is_subscribed, 5, "the subscription")

    async def grow(self, *texts: str) -> None:
        await logs.append(self.eventlog, logs.tokens(self.id, self._taken.epoch, self._seq + 1, *texts))
        self._seq += len(texts)

    @property
    def opened(self) -> OpenFeed:
        return self._hub.feeds.open(self.id)

    async def is_shown(self, within_s: float) -> None:
        """Everything in the log, once and in order."""
        log = [str(entry.cursor) for entry in await logs.whole_log(self._redis, KEYS, self.id)]
        await until(lambda: len(self.screen.frames) >= len(log), within_s, "the whole log")
        assert [frame.id for frame in self.screen.frames] == log


@pytest.fixture
async def watched(hub: Hub, redis: Redis) -> Watched:
    made = Watched(hub, redis)
    await made.begin()
    return made


async def _subscribers(redis: Redis) -> list[str]:
    """Ids of the connections that subscribe, as the server knows them."""
    return [client["id"] for client in await redis.client_list() if int(client.get("ssub", 0)) > 0]


async def test_a_killed_connection_is_opened_anew_and_its_logs_are_read(watched: Watched, redis: Redis) -> None:
    """Again and again, while events are written."""
    for _ in range(5):
        (connection,) = await _subscribers(redis)
        await watched.grow("a", "b")
        await redis.client_kill_filter(_id=connection)
        await watched.grow("c")
        await watched.is_shown(3)

        async def is_back(former: str = connection) -> bool:
            return await _subscribers(redis) not in ([], [former])

        await until(is_back, 5, "another connection")
        await watched.grow("d")
        await watched.is_shown(1)


async def test_a_connection_that_is_silent_is_left(watched: Watched, link: TcpFaultProxy) -> None:
    """Nothing arrives, and nothing says so: the log is read meanwhile, and heard again when the way is free."""
    link.black_hole()
    await watched.grow("a", "b")
    await watched.is_shown(5)
    await until(lambda: not watched.opened.is_subscribed, 5, "the loss")
    await watched.grow("c")
    await watched.is_shown(3)
    link.heal()
    await until(lambda: watched.opened.is_subscribed, 5, "the subscription")
    await watched.grow("d")
    await watched.is_shown(1)


async def test_a_viewer_that_comes_while_nothing_is_pushed_is_served(
    watched: Watched, hub: Hub, link: TcpFaultProxy, redis: Redis
) -> None:
    """From readings alone."""
    link.black_hole()
    await until(lambda: not watched.opened.is_subscribed, 5, "the loss")
    other = Watched(hub, redis)
    other.id, other._taken = await logs.running(other.eventlog)
    await hub.attach(other.id, START, other.screen, UNFOLDED)
    await other.grow("a")
    await other.is_shown(5)


async def test_an_output_buffer_that_overruns_costs_a_reading(
    watched: Watched, redis: Redis, link: TcpFaultProxy
) -> None:
    """The server closes the connection; what it held is in the log."""
    await redis.config_set("client-output-buffer-limit", "pubsub 200000 200000 0")
    link.bytes_per_s = 20_000
    for _ in range(20):
        await watched.grow(*["x" * 6_000] * 8)

    async def closed() -> bool:
        return await _subscribers(redis) == []

    await until(closed, 5, "the server to close the connection")
    link.heal()
    await watched.is_shown(10)


async def test_a_demoted_server_is_left(watched: Watched, redis: Redis) -> None:
    """It would go on to serve, and to push nothing or what is no longer true."""
    await redis.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
    await until(lambda: not watched.opened.is_subscribed, 5, "the subscriber to leave")
    await redis.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
    await until(lambda: watched.opened.is_subscribed, 5, "the subscription")
    await watched.grow("a")
    await watched.is_shown(2)


async def test_a_log_that_nobody_watches_is_left(watched: Watched, hub: Hub, redis: Redis) -> None:
    """Its channel does not speak to us any more; a viewer that comes back hears it again."""
    hub.feeds.drop(watched.opened)

    async def left() -> bool:
        return await _subscribers(redis) == []

    await until(left, 5, "the end of the subscription")
    await watched.begin()
    await watched.grow("a")


async def test_a_feed_that_is_dropped_and_opened_at_once_hears_its_log(hub: Hub, redis: Redis) -> None:
    """However leaving and subscribing overtake each other."""
    watched = Watched(hub, redis)
    await watched.begin()
    for _ in range(100):
        hub.feeds.drop(watched.opened)
        hub.feeds.open(watched.id)
        if watched._seq % 3 == 0:
            await asyncio.sleep(0)
        watched.screen = Screen()
        viewer = await hub.attach(watched.id, START, watched.screen, UNFOLDED)
        await watched.grow("a")
        await watched.is_shown(1)
        hub.detach(viewer)


async def test_a_storm_of_feeds_subscribes_in_bounded_pipelines(hub: Hub, redis: Redis) -> None:
    """A thousand at once, and again after the connection is lost."""
    eventlog = EventLog(redis, KEYS, logs.LIMITS)
    made = [(await logs.running(eventlog))[0] for _ in range(1000)]
    opened = [hub.feeds.open(i) for i in made]
    await until(lambda: all(each.is_subscribed and each.read.is_set() for each in opened), 20, "all feeds")
    await redis.client_kill_filter(_id=(await _subscribers(redis))[0])
    await until(lambda: not opened[0].is_subscribed, 5, "the loss")
    await until(lambda: all(each.is_subscribed and each.unread_since is None for each in opened), 20, "all feeds")
    assert {each.feed.end for each in opened} == {2}
