"""Owns the loopback ports that the tests' servers listen on.

A port that the kernel chose and that was closed again can be taken by any process before the server opens it,
or while a killed server is down. So ports come from below the range that the kernel chooses from. A lock file
per port, held for the life of this process, keeps parallel test runs apart.
"""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import Final

_FIRST: Final = 20_000
_LAST: Final = 29_999
_LOCKS: Final = Path(tempfile.gettempdir()) / f"outlive-test-ports-{os.getuid()}"

_held: Final[dict[int, int]] = {}
"""Port -> descriptor of its locked file. Bounded by the range above."""


def claim_port() -> int:
    """A free loopback port; it stays claimed until `release_port` or the end of this process."""
    _LOCKS.mkdir(exist_ok=True)
    ports = list(range(_FIRST, _LAST + 1))
    random.SystemRandom().shuffle(ports)
    for port in ports:
        if port not in _held and _lock(port):
            if _is_free(port):
                return port
            release_port(port)
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST}")


def release_port(port: int) -> None:
    """Give the port back."""
    descriptor = _held.pop(port, None)
    if descriptor is not None:
        os.close(descriptor)


def _lock(port: int) -> bool:
    descriptor = os.open(_LOCKS / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    _held[port] = descriptor
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
