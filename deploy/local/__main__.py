"""Owns the launcher as a command: arguments, early refusals, signals, exit code."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NoReturn

from outlive.deploy.local import redis_server
from outlive.deploy.local.console import Console
from outlive.deploy.local.launcher import HOST, Launcher, Plan
from outlive.deploy.local.preflight import CannotStart, check_port, open_data
from outlive.shared import settings
from outlive.shared.errors import SettingsError

_REDIS_URL: Final = "OUTLIVE_REDIS_URL"
_DRAIN_S: Final = "OUTLIVE_DRAIN_S"
_LOCAL_DRAIN_S: Final = 3.0
"""Somebody sits there and waits, and no other worker will take over; so less than elsewhere."""
_PROVIDERS: Final = ("OUTLIVE_UPSTREAMS", "OPENAI_BASE_URL", "OPENAI_API_KEY")
"""Whoever sets one of them brings a provider."""
_MAX_PROCESSES: Final = 256
_PARENT_LOOK_EVERY_S: Final = 0.5


def main() -> int:
    """Exit code 0 when told to end, 1 when it could not start, 2 when asked wrongly."""
    try:
        asked = _arguments().parse_args()
        plan = prepare(asked, os.environ)
        fault = asyncio.run(_run(plan, end_with_parent=asked.end_with_parent))
    except (CannotStart, SettingsError) as refused:
        fault = str(refused)
    except KeyboardInterrupt:
        return 0
    if fault:
        print(fault, file=sys.stderr)
    return 1 if fault else 0


def prepare(asked: argparse.Namespace, environ: Mapping[str, str]) -> Plan:
    """Everything that can be refused before anything is started."""
    chosen = settings.load(environ)
    redis_url = environ.get(_REDIS_URL)
    server: redis_server.Server | None = None
    lock: int | None = None
    data = Path(asked.data).expanduser().absolute()
    if redis_url:
        check_redis(redis_url)
    else:
        server = redis_server.find_server()
        lock = open_data(data)
        redis_url = redis_server.url_of(redis_server.socket_path(data))
    check_port(HOST, asked.port)
    return Plan(
        port=asked.port,
        apis=asked.api,
        workers=asked.workers,
        redis_url=redis_url,
        server=server,
        data=data,
        lock=lock,
        demo_model=not any(environ.get(name) for name in _PROVIDERS),
        drain_s=chosen.drain_s if _DRAIN_S in environ else _LOCAL_DRAIN_S,
        environ=dict(environ),
    )


def check_redis(url: str) -> None:
    """Raise `CannotStart` if nobody answers there. Does not repeat the URL: it may hold a password."""
    try:
        answers = asyncio.run(redis_server.answers(url))
    except ValueError as error:
        raise CannotStart(f"{_REDIS_URL} is not a URL of a Redis: {error}.") from error
    if not answers:
        raise CannotStart(f"No Redis answers at the address in {_REDIS_URL}.")


async def _run(plan: Plan, *, end_with_parent: bool) -> str | None:
    console = Console()
    launcher = Launcher(plan, console)
    console.on_gone = launcher.stop
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, launcher.interrupt)
    loop.add_signal_handler(signal.SIGTERM, launcher.stop)
    # nohup has us ignore SIGHUP, and means it.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, launcher.stop)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(_watch_parent(launcher.stop)) if end_with_parent else None
        fault = await launcher.run()
        if watching is not None:
            watching.cancel()
    return fault


async def _watch_parent(stop: Callable[[], None]) -> None:
    """Stop when the parent is gone. By looking: Linux and macOS share no way of being told."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(_PARENT_LOOK_EVERY_S)
    stop()


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence, without the usage above it."""
        self.exit(2, f"{message[:1].upper()}{message[1:]}.\n")


def _arguments() -> argparse.ArgumentParser:
    parser = _Arguments(prog="python -m outlive.deploy.local", description="Outlive on this machine, all of it.")
    parser.add_argument("--port", type=_within(1, 65_535), default=8000, help="of the API and the page")
    parser.add_argument("--data", default="data", help="directory of Redis's append-only file")
    parser.add_argument("--api", type=_within(1, _MAX_PROCESSES), default=1, help="API processes on that port")
    parser.add_argument("--workers", type=_within(0, _MAX_PROCESSES), default=1, help="worker processes")
    parser.add_argument("--end-with-parent", action="store_true", help="end when the parent process does")
    return parser


def _within(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())
