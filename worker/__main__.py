"""`python -m worker`: settings from the environment, one event loop, a clear word when it cannot start."""

import logging
import os
import sys

import uvloop

from shared.errors import SettingsError, UnfitRedis
from shared.settings import load
from worker.main import run


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    # One line per request and per job adds nothing to our own.
    for noisy in ("httpx2", "arq.worker"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        uvloop.run(run(load(os.environ)))
    except (SettingsError, UnfitRedis) as error:
        print(f"tokencast worker: {error.message}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
