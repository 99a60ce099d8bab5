"""`python -m outlive.api`: reads the command line and the environment, then serves.

What can be known to be wrong is said in one sentence, with exit code 2.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn

from outlive.api.auth.credentials import Credentials
from outlive.api.transport.server import is_own, listen, serve
from outlive.api.transport.uvicorn_protocols import RequestLimits
from outlive.shared.errors import LogUnavailable, SettingsError, UnfitRedis
from outlive.shared.settings import Settings, load
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import Planes
from outlive.shared.store.requirements import require_fit
from outlive.shared.telemetry import logs
from outlive.shared.telemetry.traces import traces_of

_USAGE_ERROR: Final = 2


def main() -> None:
    """Serve until told to stop."""
    arguments = _arguments()
    try:
        settings = load(os.environ)
        logs.configure("api", settings.log_format)
        # Each process makes its own; here it is only found out whether it can.
        traces_of("api", recorded=settings.traces).close()
        _check_reach(arguments.host, settings)
        asyncio.run(_inspect(settings))
    except (SettingsError, UnfitRedis) as error:
        _refuse(error.message)
    try:
        sock = listen(arguments.host, arguments.port, stall_s=settings.stall_s)
    except OSError as error:
        _refuse(f"Cannot listen on {arguments.host}:{arguments.port}: {error.strerror or error}.")
    # uvicorn raises the signal that ended it once more when it is done; having been told to stop
    # and having stopped is a success.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    with sock:
        limits = RequestLimits(settings.max_head_bytes, settings.request_s, settings.stall_s)
        serve("outlive.api.app:app_from_environ", sock, limits, workers=arguments.workers)


def _check_reach(host: str, settings: Settings) -> None:
    """Raises `SettingsError` where others than this machine could ask for answers and nobody asks who they are."""
    try:
        if settings.auth or settings.open_to_all or is_own(host):
            return
    except OSError:
        # No such host; listening on it says so.
        return
    raise SettingsError(
        f"On {host} others can reach this, so they must say who they are: set OUTLIVE_AUTH=true. "
        "OUTLIVE_OPEN_TO_ALL=true serves everybody all the same."
    )


async def _inspect(settings: Settings) -> None:
    planes = Planes(settings)
    try:
        Credentials.of(settings, planes.queue, Keys(settings.key_prefix))
        await require_fit(await planes.servers())
    except LogUnavailable:
        # We serve all the same, and say so at /readyz; no worker begins before it has looked.
        logging.getLogger(__name__).warning("redis does not answer yet")
    finally:
        await planes.aclose()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m outlive.api", description="Serve Outlive's HTTP API.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8000, help="port to listen on (default: %(default)s)")
    parser.add_argument("--workers", type=_count, default=1, help="processes on that port (default: %(default)s)")
    return parser.parse_args()


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return port


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("there must be at least one")
    return count


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(_USAGE_ERROR)


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    main()
