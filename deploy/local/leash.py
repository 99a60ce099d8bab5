"""Owns that a command does not outlive the launcher, however the launcher ends.

    python leash.py LIFELINE KEEP COMMAND...

Runs COMMAND in the process group this process leads, and waits for its end or for that of the
launcher. The launcher alone holds the write end of the pipe LIFELINE and never writes, so the
kernel itself tells of its death, SIGKILL included: end of file. Then the whole group is killed,
grandchildren too. KEEP are descriptors to hand on, with commas between.

A process in between because the simpler ways fall short: PR_SET_PDEATHSIG exists on Linux only,
follows a thread and not a process, and is not passed on to grandchildren; and a command that is
not ours, such as Redis, cannot be asked to watch a pipe. Where there is PR_SET_PDEATHSIG it is
used for one thing more: it ends the command should this process itself be killed.

Standard library only, and started by path: it takes 10 ms that way.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the command; its exit code, or 128 + the signal that ended it, as shells say it."""
    lifeline, keep, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    told, teller = os.pipe()
    os.set_blocking(teller, False)
    signal.set_wakeup_fd(teller, warn_on_full_buffer=False)
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
        readable, _, _ = select.select([lifeline, told], [], [])
        if lifeline in readable:
            os.killpg(0, signal.SIGKILL)
        if told in readable and set(os.read(told, 64)) != {signal.SIGCHLD}:
            # To the command alone: how it ends what it started is its own affair.
            process.terminate()
    code: int = process.returncode
    return code if code >= 0 else 128 - code


def _end_with(parent: int) -> Callable[[], None] | None:
    """Runs in the child before exec. The second look is for a parent that died in between."""
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415 - takes longer than all the rest, and macOS has no use for it

    libc = ctypes.CDLL(None)

    def end_with_parent() -> None:
        # SIGTERM and not SIGKILL, so that the command gets to end its own children.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return end_with_parent


if __name__ == "__main__":
    sys.exit(main())
