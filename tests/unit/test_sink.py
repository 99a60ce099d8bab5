"""The sink on an ASGI `send`: one call under way at a time, in order, and a stall is noticed."""

import asyncio

import pytest
from starlette.types import Message

from outlive.api.fanout.sink import SendSink

pytestmark = pytest.mark.anyio

STALL_S = 30.0


class Gate:
    """A `send` that waits until it is opened; remembers what it was given and how many calls were under way."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.sent: list[tuple[bytes, bool]] = []
        self.under_way = 0
        self.max_under_way = 0

    async def send(self, message: Message) -> None:
        self.under_way += 1
        self.max_under_way = max(self.max_under_way, self.under_way)
        await self.opened.wait()
        self.sent.append((message["body"], message["more_body"]))
        self.under_way -= 1


async def _settled(sink: SendSink) -> None:
    while sink.is_full:
        await asyncio.sleep(0)


async def test_it_is_full_while_a_call_is_under_way_and_then_calls_back() -> None:
    """Never from within a write."""
    gate, rooms = Gate(), []
    sink = SendSink(gate.send)
    sink.on_room = lambda: rooms.append(sink.is_full)
    gate.opened.set()
    sink.write(b"a")
    assert (sink.is_full, rooms) == (True, [])
    await _settled(sink)
    assert (gate.sent, rooms) == ([(b"a", True)], [False])


async def test_calls_are_made_one_after_the_other_in_order() -> None:
    """Also for a caller that does not ask whether it is full."""
    gate = Gate()
    sink = SendSink(gate.send)
    sink.write(b"a")
    sink.write(b"b")
    sink.end(b"c")
    gate.opened.set()
    while len(gate.sent) < 3:
        await asyncio.sleep(0)
    assert gate.sent == [(b"a", True), (b"b", True), (b"c", False)]
    assert gate.max_under_way == 1


async def test_a_call_that_does_not_end_is_a_stall() -> None:
    """Counted from the first time it is seen; over when the call ends."""
    gate = Gate()
    sink = SendSink(gate.send)
    assert not sink.has_stalled(0.0, STALL_S)
    sink.write(b"a")
    assert not sink.has_stalled(100.0, STALL_S)
    assert not sink.has_stalled(100.0 + STALL_S, STALL_S)
    assert sink.has_stalled(100.1 + STALL_S, STALL_S)
    gate.opened.set()
    await _settled(sink)
    assert not sink.has_stalled(100.2 + STALL_S, STALL_S)


async def test_a_send_that_fails_leaves_it_full() -> None:
    """So that nothing more is written to it."""
    calls = []

    async def broken(message: Message) -> None:
        calls.append(message)
        raise RuntimeError("the response is over")

    sink = SendSink(broken)
    sink.write(b"a")
    while not calls:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sink.is_full


async def test_a_cut_ends_the_connection_and_leaves_it_full() -> None:
    """Whatever the call under way does then."""
    cuts: list[bool] = []
    gate = Gate()
    sink = SendSink(gate.send, lambda: cuts.append(True))
    sink.write(b"a")
    sink.cut()
    gate.opened.set()
    while not gate.sent:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (sink.is_full, cuts) == (True, [True])
