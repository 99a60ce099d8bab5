"""Owns the listening socket, so that a launcher can keep the port while the server restarts."""

import socket
from typing import Final

BACKLOG: Final = 2_048

# Linux would buffer megabytes. With this small buffer the model soon notices that a reader stopped reading
# (`blocked_s`), as it would across a network.
_SEND_BUFFER_BYTES: Final = 65_536


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, to serve on or to give to the process that serves. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
