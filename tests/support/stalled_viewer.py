"""Owns a viewer that sends its request and then reads nothing, as a phone that sleeps with its connection open."""

import contextlib
import socket
from collections.abc import Iterator

from tests.support.sse import events_url


@contextlib.contextmanager
def stalled_viewer(port: int, generation_id: str) -> Iterator[socket.socket]:
    """The viewer's socket. Its receive buffer is small, so that the server's buffers fill up."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        path = events_url("", generation_id)
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\nAccept: text/event-stream\r\n\r\n".encode())
        sock.setblocking(False)
        yield sock


def has_bytes(sock: socket.socket) -> bool:
    """Whether the response has begun."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
