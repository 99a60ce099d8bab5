"""What we rely on inside aiohttp. When one fails, read `worker/upstream/aiohttp_transport.py` before you upgrade."""

import asyncio
import inspect
from functools import partial

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from outlive.worker.upstream import aiohttp_transport

pytestmark = pytest.mark.anyio


async def test_a_connector_makes_its_protocols_by_factory() -> None:
    """A `partial` of `ResponseHandler` with the loop, which we replace by one of ours."""
    connector = aiohttp.TCPConnector()
    try:
        factory = connector._factory
        assert isinstance(factory, partial)
        assert (factory.func, factory.args, set(factory.keywords)) == (ResponseHandler, (), {"loop"})
        assert isinstance(factory(), ResponseHandler)
    finally:
        await connector.close()
    assert "self._factory" in inspect.getsource(aiohttp.TCPConnector._create_direct_connection)


async def test_answers_wait_in_the_protocols_buffer() -> None:
    """One entry for each head that nobody has read: what we count to hang up on a flood."""
    handler = ResponseHandler(asyncio.get_running_loop())
    assert len(handler._buffer) == 0
    handler.set_response_params(read_until_eof=False)
    handler.data_received(b"HTTP/1.1 100 Continue\r\n\r\n" * 3)
    assert len(handler._buffer) == 3


async def test_a_protocol_says_when_its_connection_is_lost() -> None:
    """By a future that is made when somebody asks."""
    handler = ResponseHandler(asyncio.get_running_loop())
    handler.connection_made(asyncio.Transport())
    lost = handler.closed
    assert lost is not None
    assert not lost.done()
    handler.connection_lost(None)
    assert lost.done()


async def test_our_handler_hides_nothing_but_what_it_extends() -> None:
    """A name of ours that aiohttp uses as well would break it silently."""
    extended = {name for name in vars(aiohttp_transport._Handler) if not name.startswith("__")}
    assert extended == {"data_received"}
