"""Owns what must hold before anything is started, and the one sentence for each thing that does not."""

import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import Final

# After a launcher was killed its processes take some milliseconds to follow it; whoever starts
# the next one at once should not be told that the first is still there.
_FOLLOW_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.05


class CannotStart(Exception):
    """It will not work; the message is the whole sentence to say."""


def open_data(data: Path) -> int:
    """Make the data directory and lock it against other launchers. Returns the lock's descriptor.

    The lock belongs to everybody who inherits the descriptor. Redis does: so the directory is
    free only when no Redis of a former launcher writes there any more.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = os.open(data / "launcher.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(f"The data directory {data} cannot be used: {error.strerror}.") from error
    latest = time.monotonic() + _FOLLOW_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > latest:
                os.close(lock)
                raise CannotStart(
                    f"Another launcher uses the data directory {data}; end it or choose another with DATA=."
                ) from None
            time.sleep(_LOOK_EVERY_S)
        else:
            return lock


def check_port(host: str, port: int) -> None:
    """Raise `CannotStart` if nobody could listen there. Only a look: the API will listen itself."""
    latest = time.monotonic() + _FOLLOW_S
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise CannotStart(f"Port {port} of {host} cannot be used: {error.strerror}.") from error
                if time.monotonic() > latest:
                    raise CannotStart(f"Port {port} of {host} is taken; choose another with PORT=.") from None
            else:
                return
        time.sleep(_LOOK_EVERY_S)
