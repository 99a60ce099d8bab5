"""Owns that a command ends with the launcher, however the launcher ends.

    python leash.py LIFELINE KEEP COMMAND...

Runs COMMAND in the process group that this process leads, and waits until the command or the launcher
ends. Only the launcher holds the write end of the pipe LIFELINE, and it never writes. So this process
reads end of file when the launcher dies, even of SIGKILL, and then kills the whole group, grandchildren
included. KEEP are the descriptors the command inherits, with commas between.

There is a process in between because the simpler ways fall short: PR_SET_PDEATHSIG exists on Linux only,
follows a thread and not a process, and does not reach grandchildren; and a foreign command such as Redis
cannot be made to watch a pipe. On Linux PR_SET_PDEATHSIG serves one more purpose: it ends the command if
this process itself is killed.

Standard library only, and started by path: it starts in 10 ms that way.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the command. Returns its exit code, or 128 + the signal that ended it, as shells do."""
    lifeline, keep, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    signals, signals_in = os.pipe()
    os.set_blocking(signals_in, False)
    signal.set_wakeup_fd(signals_in, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    kept = [int(descriptor) for descriptor in keep.split(",") if descriptor]
    try:
        process = subprocess.Popen(
            command,
            pass_fds=kept,
            preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509 - this process has one thread
        )
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", flush=True)
        return 127
    while process.poll() is None:
        readable, _, _ = select.select([lifeline, signals], [], [])
        if lifeline in readable:
            os.killpg(0, signal.SIGKILL)
        if signals in readable and set(os.read(signals, 64)) != {signal.SIGCHLD}:
            # To the command alone: it ends what it started itself.
            process.terminate()
    code: int = process.returncode
    return code if code >= 0 else 128 - code


def _end_with(parent: int) -> Callable[[], None] | None:
    """Runs in the child before exec. The check of the parent is for one that died before `prctl`."""
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415 - it takes longer than everything else here, and only Linux needs it

    libc = ctypes.CDLL(None)

    def end_with_parent() -> None:
        # SIGTERM and not SIGKILL, so that the command can end its own children.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return end_with_parent


if __name__ == "__main__":
    sys.exit(main())
