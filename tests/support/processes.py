"""Owns real operating system processes: started with a clean environment, ended with all they started.

Knows no particular program, except that ours are started with `python -m`. Every process leads its own process
group, so that signals also reach its children. It dies with the test process, even if that is killed (Linux).
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from tests.support.waiting import until

ROOT: Final = Path(__file__).parents[2]
START_S: Final = 60.0
"""Long, because importing the openai SDK alone takes seconds when both cores are busy."""

STOP_S: Final = 10.0
"""A process that needs longer to end hangs; `Stack` gives workers less time to drain."""

_TAIL_BYTES: Final = 6_000
_AS_INSTALLED: Final = {"PYTHONPATH": str(ROOT / "tests" / "support" / "hidden_modules")}
"""For our own programs: hides the packages that only tests install."""
_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None

launched: Final[deque["OsProcess"]] = deque(maxlen=64)
"""The processes of the running test, for the report if it fails."""


class OsProcess:
    """One process whose output goes to a file. It can be started again after it ended."""

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str] | None = None, *, folder: Path = ROOT
    ) -> None:
        """`folder` is the current folder of the process."""
        self.name = name
        self.command = list(command)
        self.environ = dict(environ or {})
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._output: Path | None = None
        self._last_output = ""
        self._printed_before = 0

    @property
    def pid(self) -> int:
        """The id of the process started last."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def resident_bytes(self) -> int:
        """The memory it holds now. Linux only."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open. Linux only."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs. A negative number is the signal that ended it."""
        return None if self._process is None else self._process.poll()

    def spawn(self) -> None:
        """Start it, and do not wait until it is ready. It appends its output to the same file."""
        assert not self.running, f"{self.name} runs already"
        if self._output is None:
            descriptor, path = tempfile.mkstemp(prefix=f"outlive-{self.name}-", suffix=".log")
            os.close(descriptor)
            self._output = Path(path)
        self._printed_before = self._output.stat().st_size
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=self._folder,
                env=_clean_environ() | (_AS_INSTALLED if self.command[0] == sys.executable else {}) | self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Safe here: the child takes no lock before exec. Only this makes a process die with its parent.
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509
            )
        if self not in launched:
            launched.append(self)

    async def start(self) -> Self:
        """Start it and wait until it is ready."""
        self.spawn()
        try:
            await self.ready()
        except BaseException:
            self.kill()
            raise
        return self

    async def ready(self, within_s: float = START_S) -> None:
        """Wait until it is ready. Fails at once, with its output, if it ends instead."""

        async def serving() -> bool:
            if not self.running:
                raise AssertionError(f"{self.name} ended with {self.exit_code}")
            return await self.is_ready()

        try:
            await until(serving, within_s, f"{self.name} ready")
        except AssertionError as fault:
            raise AssertionError(f"{fault}; its output:\n{self.output()}") from None

    async def is_ready(self) -> bool:
        """Whether it is ready now. A process without a way to ask it is ready when it runs."""
        return True

    async def stop(self, within_s: float = STOP_S) -> None:
        """End it and remove its output. Fails if SIGTERM does not end it within `within_s`."""
        fault: AssertionError | None = None
        if self.running:
            self.resume()
            self.terminate()
            try:
                await self.wait(within_s)
            except AssertionError as late:
                fault = late
                # Python then prints where it hangs (PYTHONFAULTHANDLER), and dies.
                self._signal_group(signal.SIGABRT)
                with contextlib.suppress(AssertionError):
                    await self.wait(2.0)
        self.kill()
        self._last_output = self.output()
        if self._output is not None:
            self._output.unlink(missing_ok=True)
            self._output = None
        if fault is not None:
            raise AssertionError(f"{fault} after SIGTERM; its output:\n{self._last_output}")

    async def wait(self, within_s: float) -> int:
        """Wait for its end and return the exit code."""
        await until(lambda: not self.running, within_s, f"end of {self.name}")
        assert self.exit_code is not None
        return self.exit_code

    def terminate(self) -> None:
        """SIGTERM to the process alone: it must end its own children, as in a container."""
        if self.running:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the whole group, and wait for the end."""
        if self._process is None:
            return
        self._signal_group(signal.SIGKILL)
        self._process.wait(timeout=10)

    def pause(self) -> None:
        """SIGSTOP to the whole group: sockets stay open, but nothing responds."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT to the whole group."""
        self._signal_group(signal.SIGCONT)

    def output(self) -> str:
        """The last part of what it printed, also after `stop`."""
        if self._output is None or not self._output.exists():
            return self._last_output
        with self._output.open("rb") as file:
            file.seek(max(0, self._output.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")

    def whole_output(self) -> str:
        """All it has printed since it was first started."""
        return self._output.read_text(errors="replace") if self._output is not None else self._last_output

    def has_printed(self, words: str) -> bool:
        """Whether it has printed these words since it was started last."""
        if self._output is None:
            return False
        with self._output.open("rb") as file:
            file.seek(self._printed_before)
            return words.encode() in file.read()

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


async def stop_all(*processes: OsProcess) -> None:
    """End several processes at the same time. Fails after all have ended if one had to be forced."""
    faults = await asyncio.gather(*(process.stop() for process in processes), return_exceptions=True)
    for fault in faults:
        if fault is not None:
            raise fault


def _clean_environ() -> dict[str, str]:
    """The current environment without settings: a developer's own must not change the result of a test."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OUTLIVE_", "OPENAI_")) and not name.lower().endswith("_proxy")
    } | {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}


def _die_with(parent: int) -> Callable[[], None] | None:
    """Runs in the child before exec. The second check is for a parent that died in between."""
    libc = _libc
    if libc is None:
        return None

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return die_with_parent
