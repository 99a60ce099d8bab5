"""Owns the API as a process: what it refuses before it listens, and the end of it.

Whatever can be known to be wrong is refused in one sentence, before the port is taken.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import NoReturn

from outlive.api.auth.credentials import Credentials
from outlive.api.transport.server import is_own, listen, serve
from outlive.api.transport.uvicorn_protocols import RequestLimits
from outlive.shared.errors import LogUnavailable, SettingsError
from outlive.shared.settings import Settings, load
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import Planes
from outlive.shared.store.requirements import require_channels, require_fit
from outlive.shared.telemetry import logs
from outlive.shared.telemetry.traces import traces_of


def run(host: str, port: int, environ: Mapping[str, str], *, processes: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises `SettingsError`, also for an address that cannot be had, and
    `UnfitRedis`."""
    settings = load(environ)
    logs.configure("api", settings.log_format)
    # Each process opens its own. This one only shows whether that works.
    traces_of("api", recorded=settings.traces).close()
    _check_audience(host, settings)
    asyncio.run(_check_redis(settings))
    try:
        sock = listen(host, port, stall_s=settings.stall_s)
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"Cannot listen on {host}:{port}: {reason}. Choose another --host or --port.") from error
    # When uvicorn has stopped because of a signal, it raises that signal again. Stopping when asked to
    # is a success.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    # Further processes are started by `python -c`, which without this has the current folder first on its path.
    os.environ["PYTHONSAFEPATH"] = "1"
    with sock:
        limits = RequestLimits(settings.max_head_bytes, settings.request_s, settings.stall_s)
        serve("outlive.api.app:app_from_environ", sock, limits, workers=processes)


def _check_audience(host: str, settings: Settings) -> None:
    """Raises `SettingsError` if other machines could ask for answers without saying who they are."""
    try:
        if settings.auth or settings.open_to_all or is_own(host):
            return
    except OSError:
        # There is no such host; `listen` says so.
        return
    raise SettingsError(
        f"Other machines can reach {host}, so callers must say who they are: set OUTLIVE_AUTH=true. "
        "To serve everybody all the same, set OUTLIVE_OPEN_TO_ALL=true."
    )


async def _check_redis(settings: Settings) -> None:
    planes = Planes(settings)
    try:
        keys = Keys(settings.key_prefix)
        Credentials.of(settings, planes.queue, keys)
        await require_fit(await planes.servers())
        await require_channels(await planes.log.servers(), keys.probe("start"), subscribe=True)
    except LogUnavailable:
        # The API serves all the same, and says so at /readyz. No worker begins before its own check.
        logging.getLogger(__name__).warning("redis does not answer yet")
    finally:
        await planes.aclose()


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)
