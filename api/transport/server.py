"""Owns the HTTP server: its socket, its processes, and the order in which it shuts down.

Only this file and `uvicorn_protocols.py` know uvicorn; tests/unit/test_uvicorn_contract.py pins the private
parts they use. Knows one thing about generations: the hub must drain first.
"""

import logging
import multiprocessing
import os
import signal
import socket
import threading
from functools import partial
from ipaddress import ip_address
from typing import Final, cast

from uvicorn import Config, Server
from uvicorn.supervisors import multiprocess

from outlive.api.fanout.hub import Hub
from outlive.api.metrics import shared_between_processes
from outlive.api.transport.connection import ChunkFraming
from outlive.api.transport.uvicorn_protocols import CuttableWebSocket, LimitedHttp, RequestLimits
from outlive.shared.runtime.gc_tuning import tune_gc

log = logging.getLogger(__name__)

_BACKLOG: Final = 4096
"""A reconnect storm arrives all at once; with the kernel's default most of it would have to try again."""

_GRACE_S: Final = 10
"""By default uvicorn waits for the last response for ever, and a viewer's response can be endless."""

_START_S: Final = 30
"""The supervisor kills and restarts a process that does not answer for this long. With uvicorn's 5 s, processes
that start together on a busy core would be killed again and again, because importing takes longer."""

_KEEP_ALIVE_S: Final = 75
"""Above the 60 s common in proxies: the side that sends the next request should be the one that closes."""

_MAX_MESSAGE_BYTES: Final = 4096
"""The only message a viewer sends on a WebSocket is `cancel`."""


def listen(host: str, port: int, *, stall_s: float) -> socket.socket:
    """A listening socket. Raises `OSError` if the address is not available."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Accepted sockets inherit it. The kernel then drops a peer that acknowledges nothing for this
            # long; otherwise it would retransmit to a dead phone for fifteen minutes.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(stall_s * 1000))
        sock.bind(address)
        # Here and not in uvicorn: with SO_REUSEADDR two processes can bind one port as long as neither
        # listens, and the second would fail only after it had started everything.
        sock.listen(_BACKLOG)
        sock.set_inheritable(True)
    except OSError:
        sock.close()
        raise
    return sock


def is_own(host: str) -> bool:
    """Whether only this machine can reach a server on this host. Raises `OSError` for an unknown host."""
    resolved = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return all(ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in resolved)


def serve(app_factory: str, sock: socket.socket, limits: RequestLimits, *, workers: int) -> None:
    """Serve until SIGTERM or SIGINT. `app_factory` is `module:function`, called in each process."""
    config = Config(
        app_factory,
        factory=True,
        workers=workers,
        loop="uvloop" if os.name == "posix" else "asyncio",
        # uvicorn calls it as if it were the class.
        http=cast(type[LimitedHttp], partial(LimitedHttp, limits=limits, framing=ChunkFraming())),
        # Of uvicorn's WebSocket classes, this one waits while the socket is full, so a slow viewer costs no memory.
        ws=CuttableWebSocket,
        ws_max_size=_MAX_MESSAGE_BYTES,
        # The hub cuts dead viewers, the same way for SSE and WebSocket.
        ws_ping_interval=None,
        # Tokens are too small to gain from it, and a compression window per viewer costs more than its feed.
        ws_per_message_deflate=False,
        lifespan="on",
        # The app factory configures logging in each process (`shared/telemetry/logs.py`).
        log_config=None,
        log_level="warning",
        access_log=False,
        # `limits/client_address.py` reads them, for viewer limits only.
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        timeout_worker_healthcheck=_START_S,
    )
    if workers == 1:
        DrainingServer(config).run([sock])
        return
    # The supervisor has no parameter for the class of its processes.
    multiprocess.Process = DrainingProcess  # type: ignore[misc]
    with shared_between_processes():
        multiprocess.Multiprocess(config, [sock]).run()


class DrainingServer(Server):
    """Closes viewers' streams cleanly before it waits for connections to end."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        tune_gc()
        if self.started and sockets:
            log.info("serves %s", url_of(sockets[0]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Closed first, so that viewers that the drain sends away reach another process.
        for server in self.servers:
            server.close()
        await cast(Hub, self.lifespan.state["hub"]).drain()
        await super().shutdown(sockets)


class DrainingProcess(multiprocess.Process):
    """One process of several on one socket."""

    @property
    def server(self) -> Server:
        if self._server is None:
            self._server = DrainingServer(self.config)
        return self._server

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        threading.Thread(target=_follow_parent, daemon=True).start()
        super().target(sockets)


def url_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _follow_parent() -> None:
    """End with the supervisor, also if it is killed: otherwise the child would keep the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
