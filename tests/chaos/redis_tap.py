"""Owns the record of what one process sends to Redis and what Redis replies; it can hold or drop either exactly.

A `Tap` observes all connections of one link (`tests/support/tcp_fault_proxy.py`). It recognises our scripts by their
digests. So a fault can strike between a `take` and its reply, and the product needs no test code for it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, NamedTuple

import hiredis

from outlive.shared.store import scripts

_MAX_KEPT: Final = 50_000
_ON_LOG: Final = frozenset({"create", "take", "append", "renew", "release", "requeue", "finish", "delete"})
LOST: Final = frozenset({"FENCED", "CLOSED", "GONE"})
"""The replies by which a worker learns that the log is no longer its own."""


def _digests() -> dict[bytes, str]:
    """Digest -> verb, in every form in which a script may be loaded."""
    verbs = {}
    for path in (resources.files("outlive.shared") / "lua").iterdir():
        if path.name.endswith(".lua"):
            verb = path.name.removesuffix(".lua")
            for on_log in (False, True):
                for allow_oom in (False, True):
                    verbs[scripts.load(verb, on_log=on_log, allow_oom=allow_oom).digest.encode()] = verb
    return verbs


_VERBS: Final = _digests()


class Command(NamedTuple):
    """One command as it was sent. `verb` is the script's name if it is a script of ours."""

    verb: str
    args: tuple[bytes, ...]
    """Of a script, without its keys. Of an append, one batch: id, epoch, first seq, terminal, totals, events. Of a
    renewal, one generation: id, epoch, time left."""

    @property
    def generation_id(self) -> str:
        return self.args[0].decode() if self.verb in _ON_LOG else ""

    @property
    def epoch(self) -> int:
        """The epoch of the attempt that sent it; 0 if the verb carries none."""
        return int(self.args[1]) if self.verb in ("append", "renew", "release") else 0

    @property
    def is_terminal(self) -> bool:
        """Whether it is an append whose last event closes the log."""
        return self.verb == "append" and self.args[3] != b""

    @property
    def identity(self) -> tuple[str, tuple[bytes, ...]]:
        """Equal for a command and its repetition: without the arguments that differ on every call."""
        counted = {"append": 3, "take": 2, "create": 1, "finish": 1}
        return self.verb, self.args[: counted.get(self.verb)]


@dataclass(slots=True)
class TappedCommand:
    """One command on a log, and its reply."""

    command: Command
    sent_at: float
    reply: str = ""
    replied_at: float = float("inf")
    epoch: int = 0
    """The epoch of its attempt; for a `take`, the epoch that the reply gave."""


class Trap:
    """Waits for one command. While it is sprung, the connection's bytes are held."""

    def __init__(self, matches: Callable[[Command], bool], *, after: bool) -> None:
        self.matches = matches
        self.after = after
        self.sprung = asyncio.Event()
        self._released = asyncio.Event()
        self._passes = True

    def release(self, *, passes: bool = True) -> None:
        """Let the command go on; with `passes=False` drop it and its connection."""
        self._passes = passes
        self._released.set()

    @property
    def is_set(self) -> bool:
        """Whether it still waits: no command sprang it, and nobody released it."""
        return not self.sprung.is_set() and not self._released.is_set()

    async def hold(self) -> bool:
        """Wait for `release`, and return whether the command may go on."""
        self.sprung.set()
        await self._released.wait()
        return self._passes


class Tap:
    """All connections of one process to Redis."""

    def __init__(self) -> None:
        self.log_commands: deque[TappedCommand] = deque(maxlen=_MAX_KEPT)
        """The newest commands on logs, oldest first."""
        self.command_count = 0
        """Commands of any kind so far."""
        self.drops_reply: Callable[[Command], bool] | None = None
        """Whether the reply of a command is dropped, and its connection cut."""
        self.drops_message: Callable[[], bool] | None = None
        """Whether a message to a subscriber is dropped."""
        self.cuts_in_message = 0
        """So many messages to subscribers end in the middle, and their connection with them."""
        self.subscribers_pass, self.commands_pass = asyncio.Event(), asyncio.Event()
        """Unset: a black hole for connections that subscribe, or for all others."""
        self._traps: list[Trap] = []
        self.clear()

    def observe(self) -> "TappedConnection":
        """The observer of one new connection."""
        return TappedConnection(self)

    def trap(self, matches: Callable[[Command], bool], *, after: bool = False) -> Trap:
        """Hold the next command that matches: before Redis gets it, or `after` Redis has replied."""
        trap = Trap(matches, after=after)
        self._traps.append(trap)
        return trap

    def clear(self) -> None:
        """Release all traps, and drop and hold nothing any more."""
        self.drops_reply = self.drops_message = None
        self.cuts_in_message = 0
        self.subscribers_pass.set()
        self.commands_pass.set()
        for trap in self._traps:
            trap.release()
        self._traps.clear()

    def trap_for(self, command: Command, *, after: bool) -> Trap | None:
        """The trap that this command springs, if there is one."""
        for trap in self._traps:
            if trap.after == after and trap.is_set and trap.matches(command):
                return trap
        return None


class TappedConnection:
    """One connection. It pairs commands with replies, by their order."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._commands: Any = hiredis.Reader()
        self._replies: Any = hiredis.Reader()
        self._waiting: deque[list[tuple[Command, TappedCommand | None]]] = deque()
        self._paired = True
        self._subscribes = False
        self._pushed = b""
        self._is_cut = False

    async def from_client(self, data: bytes) -> bool:
        self._commands.feed(data)
        while (words := self._commands.gets()) is not False:
            commands = list(_commands(words))
            self._tap.command_count += 1
            for command in commands:
                trap = self._tap.trap_for(command, after=False)
                if trap is not None and not await trap.hold():
                    return False
            self._waiting.append([(command, self._record(command)) for command in commands])
            # Messages to a subscriber are not replies, and only subscribers to logs say HELLO.
            self._subscribes = self._subscribes or commands[0].verb == "hello"
            self._paired = self._paired and commands[0].verb not in ("subscribe", "ssubscribe", "hello")
        await self._pass()
        return True

    def _record(self, command: Command) -> TappedCommand | None:
        if not command.generation_id:
            return None
        tapped = TappedCommand(command, time.monotonic(), epoch=command.epoch)
        self._tap.log_commands.append(tapped)
        return tapped

    async def from_server(self, data: bytes) -> bool | bytes:
        await self._pass()
        if self._subscribes:
            return self._push(data)
        if not self._paired:
            return True
        self._replies.feed(data)
        passes = True
        while (reply := self._replies.gets()) is not False:
            for index, (command, tapped) in enumerate(self._waiting.popleft()):
                if self._tap.drops_reply is not None and self._tap.drops_reply(command):
                    passes = False
                if tapped is not None:
                    # These have one reply a generation, unless Redis refuses the call as a whole.
                    is_of_many = command.verb in ("append", "renew") and isinstance(reply, list)
                    _record_reply(tapped, reply[index] if is_of_many else reply)
                trap = self._tap.trap_for(command, after=True)
                if trap is not None and not await trap.hold():
                    return False
        return passes

    async def _pass(self) -> None:
        await (self._tap.subscribers_pass if self._subscribes else self._tap.commands_pass).wait()

    def _push(self, data: bytes) -> bool | bytes:
        """What a subscriber gets."""
        if self._is_cut:
            return False
        self._pushed += data
        passed = b""
        while end := frame_end(self._pushed, 0):
            frame, self._pushed = self._pushed[:end], self._pushed[end:]
            if b"smessage" in frame[:20]:
                if self._tap.cuts_in_message:
                    self._tap.cuts_in_message -= 1
                    self._is_cut = True
                    return passed + frame[: len(frame) // 2]
                if self._tap.drops_message is not None and self._tap.drops_message():
                    continue
            passed += frame
        return passed


def frame_end(data: bytes, at: int) -> int:
    """Where the RESP3 value that begins at `at` ends; 0 if not all of it is there."""
    line_end = data.find(b"\r\n", at)
    if line_end < 0:
        return 0
    kind, rest, end = data[at : at + 1], data[at + 1 : line_end], line_end + 2
    if kind in b"$=!":
        end += max(int(rest), 0) + 2 if int(rest) >= 0 else 0
        return end if end <= len(data) else 0
    for _ in range(int(rest) * (2 if kind == b"%" else 1) if kind in b"*>%~" else 0):
        end = frame_end(data, end)
        if not end:
            return 0
    return end


def _commands(words: list[bytes]) -> Iterator[Command]:
    """One command; several if it is an append or a renewal, which may be of many generations."""
    name = words[0].decode().lower()
    if name != "evalsha" or words[1] not in _VERBS:
        yield Command(name, tuple(words[1:]))
        return
    keys, args = words[3 : 3 + int(words[2])], words[3 + int(words[2]) :]
    if _VERBS[words[1]] == "renew":
        for at in range(1, len(args), 3):
            yield Command("renew", tuple(args[at : at + 3]))
        return
    if _VERBS[words[1]] != "append":
        yield Command(_VERBS[words[1]], tuple(args))
        return
    _, terminal, *rest = args
    for meta in keys[:1] if terminal else keys[::2]:
        end = 5 + 2 * int(rest[4])
        epoch, first, chars, tokens, _, *events = rest[:end]
        yield Command("append", (meta.split(b":")[-2], epoch, first, terminal, chars, tokens, *events))
        rest = rest[end:]


def _record_reply(tapped: TappedCommand, reply: Any) -> None:
    tapped.replied_at = time.monotonic()
    tapped.reply = reply[0].decode() if isinstance(reply, list) else str(reply)
    if tapped.command.verb == "take" and tapped.reply == "OK" and len(reply) > 1:
        tapped.epoch = int(reply[1])
