"""Owns the measured servers: how each is started, filled, written to and read."""

import base64
import secrets
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import rmtree, which
from typing import Any, Final

from redis.asyncio import Redis

from outlive.api.auth.authenticator import DEFAULT_TENANT
from outlive.api.auth.capability import Capability, Rights, Signer
from outlive.shared.log.eventlog import Batch, Entry, EventLog, LogLimits
from outlive.shared.model.codec import encode_json
from outlive.shared.model.generation import NewGeneration
from outlive.shared.store import scripts
from outlive.shared.store.keyspace import Keys
from tests.bench.cores import LOAD_CORE, SERVER_CORE, pinned
from tests.support.ids import fresh_id
from tests.support.processes import stop_all
from tests.support.redis_server import RedisServer
from tests.support.stack import ApiProcess, HttpProcess

_LEASE_S: Final = 60.0
"""No worker renews here: a generation must stay taken while its viewers connect."""

_HOUR_S: Final = 3600.0
_BATCH: Final = 250


class Peer(ABC):
    """One server on the first core, its Redis on the second."""

    name: str
    appends: str
    """How `appender` writes to it."""

    def __init__(self) -> None:
        self.redis = RedisServer()
        self.redis.command = pinned(self.redis.command, LOAD_CORE)
        self.paths: list[str] = []
        self.plan: list[str] = []
        self.server = self._server()
        self.server.command = pinned(self.server.command, SERVER_CORE)

    @classmethod
    def is_here(cls) -> bool:
        """Whether this machine has what it needs."""
        return True

    @abstractmethod
    def _server(self) -> HttpProcess: ...

    @abstractmethod
    async def _fill(self, redis: Redis, streams: int, events: Sequence[bytes]) -> None:
        """Make the streams with these events, and set `paths` and `plan`."""

    async def start(self, streams: int, events: Sequence[bytes] = ()) -> None:
        """Start it, ready for requests."""
        await self.redis.start()
        await self.server.start()
        async with Redis.from_url(self.redis.url) as redis:
            await self._fill(redis, streams, events)

    async def stop(self) -> None:
        self.server.kill()
        await stop_all(self.server, self.redis)

    @property
    def target(self) -> str:
        """Where `appender` connects to."""
        return str(self.redis.socket_path)

    @property
    def pids(self) -> dict[str, int]:
        return {"server": self.server.pid, "redis": self.redis.pid}


class Outlive(Peer):
    """Ours: `outlive api` unchanged; events go through the append script."""

    name = "Outlive"
    appends = "append"

    def __init__(self, settings: Mapping[str, object] | None = None, arguments: Sequence[str] = ()) -> None:
        self._settings = {"lease_s": _LEASE_S, **(settings or {})}
        self._arguments = arguments
        self.paths_after: list[str] = []
        """After the events that were there before."""
        super().__init__()

    def _server(self) -> HttpProcess:
        settings = {f"OUTLIVE_{name.upper()}": str(value) for name, value in self._settings.items()}
        return ApiProcess("api", {"OUTLIVE_REDIS_URL": self.redis.url} | settings, self._arguments)

    async def _fill(self, redis: Redis, streams: int, events: Sequence[bytes]) -> None:
        keys = Keys("ol")
        log = EventLog(redis, keys, LogLimits(_LEASE_S, 3, _HOUR_S, _HOUR_S))
        script = scripts.load("append")
        await redis.script_load(script.text)
        self.plan = [f"{script.digest} {round(_LEASE_S * 1000)}"]
        for _ in range(streams):
            new = generation()
            await log.create(new)
            taken = await log.take(new.id, "bench")
            self.paths.append(f"/v1/generations/{new.id}/events?fold=false")
            self.paths_after.append(f"{self.paths[-1]}&after={taken.epoch}-{len(events)}")
            self.plan.append(f"{taken.epoch} {len(events)} {keys.meta(new.id)} {keys.log(new.id)}")
            for first in range(0, len(events), _BATCH):
                entries = [Entry("token", event, 0, 0) for event in events[first : first + _BATCH]]
                await log.append([Batch(new.id, taken.epoch, first + 1, entries, None)])


class TwoProcesses(Outlive):
    """The same with two processes on the one core: the figure is what one core carries."""

    name = "Outlive, --workers 2"

    def __init__(self) -> None:
        super().__init__(arguments=["--workers", "2"])


class Identified(Outlive):
    """The same with `auth`: each viewer has a token for its generation."""

    name = "Outlive, auth on"

    def __init__(self) -> None:
        key = f"bench:{base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}"
        self._signer = Signer.parse(key, time.time)
        super().__init__({"auth": True, "signing_keys": key})

    async def _fill(self, redis: Redis, streams: int, events: Sequence[bytes]) -> None:
        await super()._fill(redis, streams, events)
        self.paths = [f"{path}&token={self._token(path)}" for path in self.paths]
        self.paths_after = [f"{path}&token={self._token(path)}" for path in self.paths_after]

    def _token(self, path: str) -> str:
        capability = Capability(path.split("/")[3], DEFAULT_TENANT, Rights.VIEW)
        return self._signer.sign(capability, self._signer.expiry(_HOUR_S))


class Tutorial(Peer):
    """sse-starlette with one XREAD per viewer."""

    name = "tutorial"
    appends = "xadd"

    def _server(self) -> HttpProcess:
        environ = {"OUTLIVE_REDIS_URL": self.redis.url}
        return HttpProcess("tutorial", ["tests.bench.baseline.server"], "/healthz", environ)

    async def _fill(self, redis: Redis, streams: int, events: Sequence[bytes]) -> None:
        self.paths = [f"/streams/{n}/events" for n in range(streams)]
        self.plan = [f"stream:{n}" for n in range(streams)]
        for key in self.plan:
            for first in range(0, len(events), _BATCH):
                async with redis.pipeline(transaction=False) as pipe:
                    for event in events[first : first + _BATCH]:
                        pipe.xadd(key, {"d": event})
                    await pipe.execute()


class Nchan(Peer):
    """nginx with the Nchan module, which keeps its channels in its own memory: no Redis, no log."""

    name = "nginx + Nchan"
    appends = "post"
    module = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

    @classmethod
    def is_here(cls) -> bool:
        return which("nginx") is not None and cls.module.exists()

    def _server(self) -> HttpProcess:
        return _Nginx(self.module)

    async def _fill(self, redis: Redis, streams: int, events: Sequence[bytes]) -> None:
        assert not events, "it is filled over HTTP only"
        self.paths = [f"/events?id={n}" for n in range(streams)]
        self.plan = [f"/append?id={n}" for n in range(streams)]

    @property
    def target(self) -> str:
        return str(self.server.port)


class _Nginx(HttpProcess):
    def __init__(self, module: Path) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="outlive-nginx-"))
        super().__init__("nginx", "-", "/healthz", {})
        conf = self._directory / "nginx.conf"
        template = Path(__file__).with_name("baseline") / "nchan.conf"
        text = template.read_text()
        for word, value in {"@MODULE@": module, "@DIR@": self._directory, "@PORT@": self.port}.items():
            text = text.replace(word, str(value))
        conf.write_text(text)
        self.command = ["nginx", "-p", str(self._directory), "-c", str(conf), "-e", str(self._directory / "error.log")]

    async def stop(self, within_s: float = 10.0) -> None:
        await super().stop(within_s)
        rmtree(self._directory, ignore_errors=True)


def numbered(events: int) -> list[bytes]:
    """What `appender` writes, for events that are there before any viewer."""
    # The time must differ from a missing one; nothing reads how long ago it was.
    return [b'{"text":" token","t":1,"n":%d}' % n for n in range(1, events + 1)]


def generation(body: Mapping[str, Any] | None = None) -> NewGeneration:
    """A generation to create; without a body no worker is to run it."""
    request = encode_json(body or {"model": "bench", "messages": []})
    return NewGeneration(fresh_id(), DEFAULT_TENANT, "bench", request, b"{}", "", 1, "restart", _HOUR_S, _HOUR_S)
