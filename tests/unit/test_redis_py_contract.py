"""What we rely on inside redis-py. When one fails, read `shared/store/redis_py_patches.py` before you upgrade."""

import asyncio
import inspect
from typing import Any

import pytest
from redis._parsers import _AsyncHiredisParser
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection

from outlive.shared.store.redis_py_patches import PATCHED, RELOCATING

pytestmark = pytest.mark.anyio


def test_there_are_three_kinds_of_connections() -> None:
    """Each has one of ours; only a server with an address can be looked for."""
    assert set(PATCHED) == {Connection, SSLConnection, UnixDomainSocketConnection}
    assert set(RELOCATING) == {Connection, SSLConnection}
    for theirs, mine in [*PATCHED.items(), *RELOCATING.items()]:
        assert issubclass(mine, theirs)


def test_connecting_uses_the_connections_own_retry() -> None:
    """Swapped while it connects; and `_connect` is what opens the socket."""
    source = inspect.getsource(AbstractConnection.connect)
    assert "self.retry.call_with_retry" in source
    assert "self._connect()" in source
    assert inspect.iscoroutinefunction(Connection._connect)


def test_a_send_is_limited_by_socket_timeout_through_wait_for() -> None:
    """Without a timeout there is no `wait_for`, which is what loses cancellations on Python 3.11."""
    source = inspect.getsource(AbstractConnection.send_packed_command)
    assert "if self.socket_timeout:" in source
    assert "asyncio.wait_for" in source


async def test_what_has_come_already_is_in_two_buffers() -> None:
    """That of the stream, and that of the parser."""
    stream = asyncio.StreamReader()
    stream.feed_data(b"+OK\r\n")
    assert vars(stream)["_buffer"]
    connection: Any = Connection(parser_class=_AsyncHiredisParser)
    assert {"_reader", "_parser", "retry"} <= set(dir(connection))
    connection._reader = stream
    parser = connection._parser
    parser.on_connect(connection)
    assert parser._reader.has_data() is False
    parser._reader.feed(b"+OK\r\n")
    assert parser._reader.has_data() is True


def test_a_pool_ensures_a_connection_by_one_method() -> None:
    """Which ours replaces, and which the pool calls when it hands one over."""
    assert list(inspect.signature(BlockingConnectionPool.ensure_connection).parameters) == ["self", "connection"]
    assert "self.ensure_connection(connection)" in inspect.getsource(BlockingConnectionPool.get_connection)


def test_a_connection_that_subscribes_is_read_past_redis_py() -> None:
    """`store/channels.py` takes the streams over once redis-py has opened them, and gives the buffer another limit."""
    assert {"_reader", "_writer"} <= set(dir(BlockingConnectionPool().make_connection()))  # type: ignore[no-untyped-call]
    assert "self._limit" in inspect.getsource(asyncio.StreamReader)
    assert "check_health" in inspect.signature(AbstractConnection.send_packed_command).parameters


def test_commands_are_packed_by_the_connection() -> None:
    """One at a time or many, by these methods."""
    assert list(inspect.signature(AbstractConnection.pack_command).parameters) == ["self", "args"]
    assert list(inspect.signature(AbstractConnection.pack_commands).parameters) == ["self", "commands"]
