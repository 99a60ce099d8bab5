"""Loaded by Python itself before the program: SIGUSR1 blocks the main thread, and so its event loop.

A handler runs between two bytecodes of the main thread: for asyncio that is a callback that does not
return, as a slow `json.loads` or a forgotten `time.sleep` would be. The product has no hook for it.
"""

import os
import signal
import time

signal.signal(signal.SIGUSR1, lambda *_: time.sleep(float(os.environ["CHAOS_BLOCKED_S"])))
