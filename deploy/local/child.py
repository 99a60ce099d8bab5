"""Owns one supervised process: it starts on the leash, is restarted when it dies, and is ended in time.

Knows nothing of what the process does or what must run before it.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

_LEASH: Final = Path(__file__).with_name("leash.py")

_FIRST_BACKOFF_S: Final = 0.2
_MAX_BACKOFF_S: Final = 5.0
_FAILED_START_S: Final = 5.0
"""A run shorter than this is a failed start, and the wait before the next start doubles."""

_REFUSED: Final = 2
"""The exit code of a command that refuses an argument, a setting or its Redis. Another start would end the same way."""

_READ_BYTES: Final = 65_536
_LAST_OUTPUT_S: Final = 1.0


class Hopeless(NamedTuple):
    """Why a command is not started again."""

    reason: str
    refused: bool
    """Whether it refused a setting: then `reason` is its own sentence."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `keep` are the descriptors it inherits, `tries` the failed starts after which we give up."""

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    keep: tuple[int, ...] = ()
    tries: int = 5
    ready_words: str | None = None
    """It is ready when it prints a line with these."""


class Child:
    """One process, over all its restarts."""

    def __init__(self, command: Command, lifeline: int, print_line: Callable[[str], None]) -> None:
        self.name = command.name
        self._command = command
        self._lifeline = lifeline
        self._print_line = print_line
        self._process: asyncio.subprocess.Process | None = None
        self._ending = asyncio.Event()
        self._ended = asyncio.Event()
        self._last_line = ""
        self.has_started = False
        """Once set, it is restarted for ever: what ran once will run again. Only a command that refuses its settings is
        not."""
        self._has_announced = False

    async def is_ready(self) -> bool:
        """Whether it has printed the `ready_words` of its command."""
        return self._has_announced

    async def run(self, give_up: Callable[[Hopeless], None]) -> None:
        """Keep it running until `end`, or call `give_up` with the reason why that is hopeless."""
        failed, backoff_s = 0, _FIRST_BACKOFF_S
        try:
            while not self._ending.is_set():
                began = time.monotonic()
                code = await self._run_once()
                if self._ending.is_set():
                    return
                if code == _REFUSED:
                    give_up(Hopeless(self._last_line or f"{self.name} ended ({_cause(code)}).", refused=True))
                    return
                if time.monotonic() - began >= _FAILED_START_S:
                    failed, backoff_s = 0, _FIRST_BACKOFF_S
                failed += 1
                if not self.has_started and failed >= self._command.tries:
                    give_up(Hopeless(self._hopeless(failed, _cause(code)), refused=False))
                    return
                self._print_line(f"{self.name} ended ({_cause(code)}); starting it again in {backoff_s:g} s")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), backoff_s)
                backoff_s = min(2 * backoff_s, _MAX_BACKOFF_S)
        finally:
            self._ended.set()

    async def end(self, within_s: float) -> None:
        """Send SIGTERM, and after `within_s` SIGKILL to the process and to all that it started."""
        self._ending.set()
        self._terminate()
        try:
            await asyncio.wait_for(self._ended.wait(), within_s)
        except TimeoutError:
            self._print_line(f"{self.name} did not end within {within_s:g} s; killing it")
            self.kill()
            await self._ended.wait()

    def kill(self) -> None:
        """Send SIGKILL to the process and to all that it started."""
        if self._process is not None:
            _kill_group(self._process.pid)

    def _terminate(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    async def _run_once(self) -> int:
        """Run the process once. Returns its exit code."""
        # A pipe of our own: asyncio's may not report the end of the process until all processes that
        # inherited the pipe have ended too (gh-119710).
        reading, writing = os.pipe()
        output = await _reader(reading)
        keep = self._command.keep
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_LEASH), str(self._lifeline), ",".join(map(str, keep))),
                *self._command.argv,
                env=self._command.environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                pass_fds=(self._lifeline, *keep),
                # Its own session: Ctrl-C in the terminal reaches the launcher alone, which knows the order of the end.
                start_new_session=True,
            )
        finally:
            os.close(writing)
        if self._ending.is_set():
            self._terminate()
        async with asyncio.TaskGroup() as tasks:
            passing = tasks.create_task(self._pass_on(output))
            code = await self._process.wait()
            # Also what the process left running, and the process itself if only its leash died.
            _kill_group(self._process.pid)
            await asyncio.wait([passing], timeout=_LAST_OUTPUT_S)
            passing.cancel()
        self._process = None
        return code

    async def _pass_on(self, output: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await output.read(_READ_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _READ_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._pass_on_line(line)
        if rest:
            self._pass_on_line(rest)

    def _pass_on_line(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        self._last_line = text or self._last_line
        if self._command.ready_words is not None and self._command.ready_words in text:
            self._has_announced = True
        self._print_line(f"{self.name} | {text}")

    def _hopeless(self, times: int, cause: str) -> str:
        often = "" if times == 1 else f" {times} times in a row"
        last = f"; its last words: {self._last_line.rstrip('.')}" if self._last_line else ""
        return f"{self.name} ended at once{often} ({cause}){last}"


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


def _kill_group(leader: int) -> None:
    # macOS returns EPERM for a group in which only zombies are left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _cause(code: int) -> str:
    number = code - 128 if code > 128 else -code
    try:
        return f"killed by {signal.Signals(number).name}"
    except ValueError:
        return f"exit code {code}"
