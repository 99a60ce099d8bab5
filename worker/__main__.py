"""`python -m outlive.worker`: settings from the environment, one event loop, a clear word when it cannot start."""

import os
import sys

import uvloop

from outlive.shared.errors import SettingsError, UnfitRedis
from outlive.shared.settings import load
from outlive.shared.telemetry import logs
from outlive.worker.main import run


def main() -> int:
    try:
        settings = load(os.environ)
        logs.configure("worker", settings.log_format)
        uvloop.run(run(settings, os.environ))
    except (SettingsError, UnfitRedis) as error:
        print(f"outlive worker: {error.message}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
