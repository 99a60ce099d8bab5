"""Owns `outlive up`: what it refuses before it starts anything, its signals, its exit code."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from outlive.deploy.local import redis_server
from outlive.deploy.local.console import Console
from outlive.deploy.local.launcher import HOST, Fault, Launcher, Plan
from outlive.deploy.local.preflight import CannotStart, check_port, open_data
from outlive.shared import settings

_REDIS_URL: Final = "OUTLIVE_REDIS_URL"
_DRAIN_S: Final = "OUTLIVE_DRAIN_S"
_LOCAL_DRAIN_S: Final = 3.0
"""Shorter than elsewhere: a person waits for the end, and no other worker will take over."""
_PROVIDERS: Final = ("OUTLIVE_UPSTREAMS", "OPENAI_BASE_URL", "OPENAI_API_KEY")
"""If one of them is set, there is a provider."""
_CHECK_PARENT_EVERY_S: Final = 0.5


def run(port: int, data: Path, apis: int, workers: int, environ: Mapping[str, str], *, end_with_parent: bool) -> int:
    """Exit code 0 when it was asked to end, 1 when it could not start, 2 when one of its processes refuses a setting.
    Raises `SettingsError`."""
    try:
        plan = prepare(port, data, apis, workers, environ)
        fault = asyncio.run(_run(plan, end_with_parent=end_with_parent))
    except CannotStart as refused:
        fault = Fault(str(refused), 1)
    except KeyboardInterrupt:
        return 0
    if fault is None:
        return 0
    print(fault.sentence, file=sys.stderr)
    return fault.exit_code


def prepare(port: int, data: Path, apis: int, workers: int, environ: Mapping[str, str]) -> Plan:
    """Check all that can be checked before anything is started. Raises `CannotStart` and `SettingsError`."""
    chosen = settings.load(environ)
    redis_url = environ.get(_REDIS_URL)
    server: redis_server.Server | None = None
    lock: int | None = None
    data = data.expanduser().absolute()
    if redis_url:
        check_redis(redis_url)
    else:
        server = redis_server.find_server()
        lock = open_data(data)
        redis_url = redis_server.url_of(redis_server.socket_path(data))
    check_port(HOST, port)
    return Plan(
        port=port,
        apis=apis,
        workers=workers,
        redis_url=redis_url,
        server=server,
        data=data,
        lock=lock,
        demo_model=not any(environ.get(name) for name in _PROVIDERS),
        drain_s=chosen.drain_s if _DRAIN_S in environ else _LOCAL_DRAIN_S,
        environ=dict(environ),
    )


def check_redis(url: str) -> None:
    """Raise `CannotStart` if no Redis answers at this URL. The sentence does not repeat the URL, which may
    hold a password."""
    try:
        answers = asyncio.run(redis_server.answers(url))
    except ValueError as error:
        raise CannotStart(f"{_REDIS_URL} is not the URL of a Redis: {error}.") from error
    if not answers:
        raise CannotStart(f"No Redis answers at the address in {_REDIS_URL}; start it, or correct the address.")


async def _run(plan: Plan, *, end_with_parent: bool) -> Fault | None:
    console = Console()
    launcher = Launcher(plan, console)
    console.on_gone = launcher.stop
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, launcher.interrupt)
    loop.add_signal_handler(signal.SIGTERM, launcher.stop)
    # Under nohup SIGHUP is ignored, and has to stay so.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, launcher.stop)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(_watch_parent(launcher.stop)) if end_with_parent else None
        fault = await launcher.run()
        if watching is not None:
            watching.cancel()
    return fault


async def _watch_parent(stop: Callable[[], None]) -> None:
    """Stop when the parent is gone. By polling: Linux and macOS share no other way to learn of it."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(_CHECK_PARENT_EVERY_S)
    stop()
