"""Owns what must be true before anything is started, and the one sentence for each check that fails."""

import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import Final

# After a launcher was killed, its processes end some milliseconds later. A person who starts the next one
# at once must not read that the first is still there.
_FOLLOW_S: Final = 2.0
_CHECK_EVERY_S: Final = 0.05


class CannotStart(Exception):
    """`outlive up` cannot start; the message is the whole sentence to print."""


def open_data(data: Path) -> int:
    """Create the data directory and lock it against other launchers. Returns the lock's descriptor.

    Every process that inherits the descriptor holds the lock. Redis does, so the directory is free only
    when no Redis of an earlier launcher writes there any more. Raises `CannotStart`.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = os.open(data / "launcher.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(
            f"The data directory {data} cannot be used: {error.strerror}; choose another with DATA=."
        ) from error
    latest = time.monotonic() + _FOLLOW_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > latest:
                os.close(lock)
                raise CannotStart(
                    f"Another launcher uses the data directory {data}; end it, or choose another directory with DATA=."
                ) from None
            time.sleep(_CHECK_EVERY_S)
        else:
            return lock


def check_port(host: str, port: int) -> None:
    """Raise `CannotStart` if the port cannot be listened on. Only a check: the API listens itself later."""
    latest = time.monotonic() + _FOLLOW_S
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise CannotStart(
                        f"Port {port} of {host} cannot be used: {error.strerror}; choose another with PORT=."
                    ) from error
                if time.monotonic() > latest:
                    raise CannotStart(f"Port {port} of {host} is taken; choose another with PORT=.") from None
            else:
                return
        time.sleep(_CHECK_EVERY_S)
