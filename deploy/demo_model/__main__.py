"""Owns the demo model as a process: its arguments, its socket, its end."""

import argparse
import contextlib
import logging
import socket
import sys

import uvicorn

from outlive.deploy.demo_model.http_app import App
from outlive.deploy.demo_model.listener import BACKLOG, listen
from outlive.deploy.demo_model.raw_connection import LentSocket


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m outlive.deploy.demo_model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100, help="0 for any free one")
    parser.add_argument("--fd", type=int, help="serve on this inherited listening socket instead")
    parser.add_argument("--key", help="refuse every other one, as providers do")
    wanted = parser.parse_args()
    logging.basicConfig(format="%(levelname)s %(message)s")
    try:
        listener = listen(wanted.host, wanted.port) if wanted.fd is None else socket.socket(fileno=wanted.fd)
    except (OSError, OverflowError) as error:
        print(f"The demo model cannot listen on {wanted.host}:{wanted.port}: {error}.", file=sys.stderr)
        return 1
    host, port = listener.getsockname()[:2]
    print(f"The demo model listens on http://{host}:{port}/v1", flush=True)
    config = uvicorn.Config(
        App(wanted.key),
        loop="uvloop",
        http=LentSocket,
        ws="none",
        lifespan="off",
        backlog=BACKLOG,
        access_log=False,
        log_config=None,
        timeout_keep_alive=75,
        # Streams may go on for an hour, and whoever reads them can deal with a model that goes away.
        timeout_graceful_shutdown=1,
    )
    # What it says there is that open streams were cut at the end; our own faults `App` tells.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
