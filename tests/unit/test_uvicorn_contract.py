"""What we rely on inside uvicorn. When one of these fails, read `api/transport` before you raise the cap."""

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from uvicorn.supervisors import multiprocess

from outlive.api.transport.connection import HAND_OVER, ChunkFraming, take_over
from outlive.api.transport.server import DrainingProcess, DrainingServer
from outlive.api.transport.uvicorn_protocols import CuttableWebSocket, LimitedHttp, RequestLimits
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

GET = b"GET /one HTTP/1.1\r\nHost: x\r\n\r\n"
LIMITS = RequestLimits(head_bytes=1_000, request_s=60.0, stall_s=60.0)


class Wire(asyncio.Transport):
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.protocol: asyncio.BaseProtocol | None = None
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Never full."""

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    def resume_reading(self) -> None:
        """Nothing comes by itself."""

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


class App:
    """Holds each request until it is let go; then answers, unless told not to."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.may_go = asyncio.Event()
        self.heard: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await receive()
        while not self.may_go.is_set() and (message := await receive())["type"] != "http.disconnect":
            pass
        if not self.may_go.is_set():
            self.heard.append(message["type"])
            return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def connected(app: App, make: Callable[..., HttpToolsProtocol] = HttpToolsProtocol) -> tuple[Any, Wire]:
    """A connection to this app, as uvicorn's server makes one."""
    config = Config(cast(Any, app), log_config=None, lifespan="off")
    protocol, wire = make(config=config, server_state=ServerState(), app_state={}), Wire()
    protocol.connection_made(wire)
    return protocol, wire


def ours(**named: Any) -> LimitedHttp:
    return LimitedHttp(limits=LIMITS, framing=ChunkFraming(), **named)


async def test_every_request_begins_with_start_asgi_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its cycle, in turn: the one that waits in `pipeline` when the one before it is answered."""
    begun: list[RequestResponseCycle] = []
    start = HttpToolsProtocol._start_asgi_task

    def noted(self: HttpToolsProtocol, cycle: RequestResponseCycle, app: Any) -> None:
        begun.append(cycle)
        start(self, cycle, app)

    monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", noted)
    app = App()
    protocol, wire = connected(app)
    protocol.data_received(GET * 2)
    assert len(begun) == 1
    assert [cycle is begun[0] for cycle, _ in protocol.pipeline] == [False]
    waiting = protocol.pipeline[0][0]
    app.may_go.set()
    begun[0].message_event.set()
    await until(lambda: wire.written.count(b" 204 ") == 2, 5.0, "both are answered")
    assert begun == [begun[0], waiting]
    assert all(cycle.response_complete for cycle in begun)


async def test_a_cycle_is_told_that_its_client_left() -> None:
    """By `disconnected` and `message_event`; its task then ends without an answer and without an error."""
    app = App()
    protocol, wire = connected(app)
    protocol.data_received(GET)
    await until(lambda: bool(app.scopes), 5.0, "the request is with the app")
    cycle = protocol.cycle
    assert (cycle.disconnected, cycle.response_complete) == (False, False)
    cycle.disconnected = True
    cycle.message_event.set()
    await until(lambda: not protocol.tasks, 5.0, "its task has ended")
    assert (app.heard, wire.written) == (["http.disconnect"], b"")


async def test_a_connection_counts_until_it_leaves_connections() -> None:
    """uvicorn waits for these when it shuts down."""
    protocol, _ = connected(App())
    assert protocol.server_state.connections is protocol.connections
    assert protocol.connections == {protocol}
    protocol.connection_lost(None)
    assert protocol.connections == set()
    assert "self.server_state.connections" in inspect.getsource(Server.shutdown)


async def test_a_connection_is_given_away_whole() -> None:
    """It counts no more, its task ends, and the transport speaks to the other protocol."""
    app = App()
    protocol, wire = connected(app, ours)
    protocol.data_received(GET)
    await until(lambda: bool(app.scopes), 5.0, "the request is with the app")
    assert set(app.scopes[0]["extensions"]) == {HAND_OVER}
    connection = take_over(app.scopes[0])
    assert wire.protocol is connection
    assert protocol.connections == set()
    connection.write(b"data")
    connection.end(b"")
    assert wire.written == b"4\r\ndata\r\n0\r\n\r\n"
    protocol.cycle.message_event.set()
    await until(lambda: not protocol.tasks, 5.0, "its task has ended")


async def test_the_scope_is_new_with_each_message() -> None:
    """So an extension is put into it at `on_message_begin`, before the app sees it."""
    app = App()
    protocol, _ = connected(app, ours)
    app.may_go.set()
    protocol.data_received(GET * 2)
    await until(lambda: len(app.scopes) == 2, 5.0, "both are with the app")
    assert app.scopes[0] is not app.scopes[1]
    assert all(HAND_OVER in scope["extensions"] for scope in app.scopes)


def test_websockets_run_the_app_with_their_scope() -> None:
    """`CuttableWebSocket` puts an extension into it just before."""
    source = inspect.getsource(WebSocketsSansIOProtocol.run_asgi)
    assert "self.app(self.scope, self.receive, self.send)" in source
    assert "self.transport" in inspect.getsource(WebSocketsSansIOProtocol.connection_made)


def test_uvicorn_calls_what_it_is_given_as_http() -> None:
    """A `partial` instead of the class."""
    made = partial(LimitedHttp, limits=LIMITS, framing=ChunkFraming())
    config = Config(cast(Any, "nowhere:app"), http=cast(type[LimitedHttp], made), ws=CuttableWebSocket, log_config=None)
    assert cast(object, config.http) is made


async def test_the_supervisor_makes_processes_of_the_class_in_its_module() -> None:
    """With these arguments; and a process makes its server late, into `_server`."""
    assert "Process(self.config, self.sockets)" in inspect.getsource(multiprocess.Multiprocess)
    assert list(inspect.signature(multiprocess.Process.__init__).parameters) == ["self", "config", "sockets"]
    process = DrainingProcess(Config(cast(Any, "nowhere:app"), log_config=None), [])
    assert process._server is None
    assert isinstance(process.server, DrainingServer)
    assert process._server is process.server
    assert isinstance(inspect.getattr_static(multiprocess.Process, "server"), property)
    for method in (multiprocess.Process.target, multiprocess.Process.pong):
        assert "self.server." in inspect.getsource(method)


def test_a_server_starts_and_stops_by_these_methods() -> None:
    """`startup` and `shutdown` are ours to extend; what lifespan yields is in `lifespan.state`."""
    for method in (Server.startup, Server.shutdown):
        assert inspect.iscoroutinefunction(method)
        assert list(inspect.signature(method).parameters) == ["self", "sockets"]
    server = Server(Config(cast(Any, "nowhere:app"), log_config=None))
    assert not server.started
    source = inspect.getsource(Server)
    assert "self.servers = " in source
    assert "self.lifespan.state" in source


async def test_we_hide_nothing_of_uvicorn() -> None:
    """A name of ours that uvicorn uses as well would break it silently; the ones below extend its own."""
    plain, _ = connected(App())
    limited, _ = connected(App(), ours)
    extended = {
        "connection_made", "data_received", "on_url", "on_header", "on_headers_complete", "on_message_complete",
        "handle_websocket_upgrade", "send_400_response", "connection_lost", "pause_writing", "resume_writing",
        "on_message_begin", "_start_asgi_task", "on_response_complete",
    }  # fmt: skip
    of_class = {name for name in vars(LimitedHttp) if not name.startswith("__")}
    assert of_class & set(dir(plain)) == extended
    of_instance = set(vars(limited)) - set(vars(plain))
    assert of_instance == {
        "_limits", "_framing", "_head_bytes", "_waiting_bytes", "_in_head", "_has_message_ended", "_is_refused",
        "_request_timer", "_stall_timer", "_running", "_closes",
    }  # fmt: skip
    of_socket = {name for name in vars(CuttableWebSocket) if not name.startswith("__")}
    assert of_socket & set(dir(WebSocketsSansIOProtocol)) == {"run_asgi"}
