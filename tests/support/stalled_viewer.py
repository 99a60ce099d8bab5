"""Owns a viewer that asks and then reads nothing: a phone that went to sleep with its connection open."""

import contextlib
import socket
from collections.abc import Iterator

from tests.support.sse import events_url


@contextlib.contextmanager
def stalled_viewer(port: int, generation_id: str) -> Iterator[socket.socket]:
    """Its own buffer is small, so that the server's fill up."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        path = events_url("", generation_id)
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\nAccept: text/event-stream\r\n\r\n".encode())
        sock.setblocking(False)
        yield sock


def has_bytes(sock: socket.socket) -> bool:
    """The answer has begun."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
