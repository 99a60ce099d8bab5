"""Owns the demo model as a process: its socket, its server, its end."""

import contextlib
import logging
import socket
import sys

import uvicorn

from outlive.deploy.demo_model.http_app import App
from outlive.deploy.demo_model.listener import BACKLOG, listen
from outlive.deploy.demo_model.raw_connection import LentSocket


def run(host: str, port: int, fd: int | None, key: str | None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. `fd` is an inherited listening socket."""
    logging.basicConfig(format="%(levelname)s %(message)s")
    try:
        listener = listen(host, port) if fd is None else socket.socket(fileno=fd)
    except OSError as error:
        address = f"{host}:{port}" if fd is None else f"descriptor {fd}"
        print(f"The demo model cannot listen on {address}: {error}.", file=sys.stderr)
        return 1
    host, port = listener.getsockname()[:2]
    print(f"The demo model listens on http://{host}:{port}/v1", flush=True)
    config = uvicorn.Config(
        App(key),
        loop="uvloop",
        http=LentSocket,
        ws="none",
        lifespan="off",
        backlog=BACKLOG,
        access_log=False,
        log_config=None,
        timeout_keep_alive=75,
        # A stream may last for an hour, and its readers can deal with a model that goes away.
        timeout_graceful_shutdown=1,
    )
    # uvicorn would log there that open streams were cut at the end. Our own faults are logged by `App`.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
    return 0
