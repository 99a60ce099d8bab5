"""Owns the listening socket, so that who starts the server may also hold its port for it."""

import socket
from typing import Final

BACKLOG: Final = 2_048

# Linux would let a sender run megabytes ahead. With this little, a reader that stops reading is
# felt here soon (`blocked_s`), as it would be across a network.
_SEND_BUFFER_BYTES: Final = 65_536


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, to serve on or to hand to the process that will."""
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
