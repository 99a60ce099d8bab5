"""Owns what one process says to Redis and is answered: recorded, held or lost at an exact place.

A `Tap` watches all connections of one link (`support/proxy.py`). It knows our scripts by digest, so
a fault can strike between a `take` and its reply without a line of test code in the product.
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

_KEPT: Final = 50_000
_ON_LOG: Final = frozenset({"create", "take", "append", "renew", "release", "requeue", "finish", "delete"})
LOST: Final = frozenset({"FENCED", "CLOSED", "GONE"})


def _digests() -> dict[bytes, str]:
    """Digest -> verb, of every form a script may be loaded in."""
    found = {}
    for path in (resources.files("outlive.shared") / "lua").iterdir():
        if path.name.endswith(".lua"):
            verb = path.name.removesuffix(".lua")
            for on_log in (False, True):
                for allow_oom in (False, True):
                    found[scripts.load(verb, on_log=on_log, allow_oom=allow_oom).digest.encode()] = verb
    return found


_VERBS: Final = _digests()


class Command(NamedTuple):
    """One command as it was sent; `verb` is our script's name where it is one of ours."""

    verb: str
    args: tuple[bytes, ...]
    """Without keys, for a script. An append's are one batch's: id, epoch, first seq, terminal, totals, events."""

    @property
    def generation_id(self) -> str:
        return self.args[0].decode() if self.verb in _ON_LOG else ""

    @property
    def epoch(self) -> int:
        """Of the attempt that speaks; 0 where the verb names none."""
        return int(self.args[1]) if self.verb in ("append", "renew", "release") else 0

    @property
    def is_terminal(self) -> bool:
        """An append whose last event closes the log."""
        return self.verb == "append" and self.args[3] != b""

    @property
    def identity(self) -> tuple[str, tuple[bytes, ...]]:
        """The same for the same wish said again: without the noise a script is handed each time."""
        said = {"append": 3, "take": 2, "create": 1, "finish": 1}
        return self.verb, self.args[: said.get(self.verb)]


@dataclass(slots=True)
class Said:
    """One command on the log and its answer."""

    command: Command
    at: float
    answer: str = ""
    answered_at: float = float("inf")
    epoch: int = 0
    """The epoch it speaks for; of a `take`, the one it was given."""


class Trap:
    """Waits for one command; what is sent stands still while it is sprung."""

    def __init__(self, matches: Callable[[Command], bool], *, after: bool) -> None:
        self.matches = matches
        self.after = after
        self.sprung = asyncio.Event()
        self._released = asyncio.Event()
        self._passes = True

    def release(self, *, passes: bool = True) -> None:
        """Let it go on, or be lost with its connection."""
        self._passes = passes
        self._released.set()

    @property
    def is_set(self) -> bool:
        """Nobody stepped in yet, and nobody called it off."""
        return not self.sprung.is_set() and not self._released.is_set()

    async def hold(self) -> bool:
        self.sprung.set()
        await self._released.wait()
        return self._passes


class Tap:
    """All connections of one process to Redis."""

    def __init__(self) -> None:
        self.said: deque[Said] = deque(maxlen=_KEPT)
        self.commands = 0
        self.loses: Callable[[Command], bool] | None = None
        """Whose replies are dropped, and their connections cut."""
        self._traps: list[Trap] = []

    def watch(self) -> "Conversation":
        return Conversation(self)

    def trap(self, matches: Callable[[Command], bool], *, after: bool = False) -> Trap:
        """Hold the next command that matches: before Redis has it, or `after` it has answered."""
        made = Trap(matches, after=after)
        self._traps.append(made)
        return made

    def clear(self) -> None:
        """No traps, no losses."""
        self.loses = None
        for trap in self._traps:
            trap.release()
        self._traps.clear()

    def sprung(self, command: Command, *, after: bool) -> Trap | None:
        for trap in self._traps:
            if trap.after == after and trap.is_set and trap.matches(command):
                return trap
        return None


class Conversation:
    """One connection: commands paired with replies, in order."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._commands: Any = hiredis.Reader()
        self._replies: Any = hiredis.Reader()
        self._waiting: deque[list[tuple[Command, Said | None]]] = deque()
        self._paired = True

    async def asked(self, data: bytes) -> bool:
        self._commands.feed(data)
        while (words := self._commands.gets()) is not False:
            commands = list(_commands(words))
            self._tap.commands += 1
            for command in commands:
                trap = self._tap.sprung(command, after=False)
                if trap is not None and not await trap.hold():
                    return False
            self._waiting.append([(command, self._hear(command)) for command in commands])
            # What a subscriber is sent answers nothing.
            self._paired = self._paired and commands[0].verb != "subscribe"
        return True

    def _hear(self, command: Command) -> Said | None:
        if not command.generation_id:
            return None
        said = Said(command, time.monotonic(), epoch=command.epoch)
        self._tap.said.append(said)
        return said

    async def answered(self, data: bytes) -> bool:
        if not self._paired:
            return True
        self._replies.feed(data)
        passes = True
        while (reply := self._replies.gets()) is not False:
            for place, (command, said) in enumerate(self._waiting.popleft()):
                if self._tap.loses is not None and self._tap.loses(command):
                    passes = False
                if said is not None:
                    # An append is answered batch by batch, unless it is refused as a whole.
                    _note(said, reply[place] if command.verb == "append" and isinstance(reply, list) else reply)
                trap = self._tap.sprung(command, after=True)
                if trap is not None and not await trap.hold():
                    return False
        return passes


def _commands(words: list[bytes]) -> Iterator[Command]:
    """One, but for an append, which may carry batches of many generations."""
    name = words[0].decode().lower()
    if name != "evalsha" or words[1] not in _VERBS:
        yield Command(name, tuple(words[1:]))
        return
    keys, args = words[3 : 3 + int(words[2])], words[3 + int(words[2]) :]
    if _VERBS[words[1]] != "append":
        yield Command(_VERBS[words[1]], tuple(args))
        return
    _, terminal, *rest = args
    for meta in keys[:1] if terminal else keys[::2]:
        end = 5 + 2 * int(rest[4])
        epoch, first, chars, tokens, _, *events = rest[:end]
        yield Command("append", (meta.split(b":")[-2], epoch, first, terminal, chars, tokens, *events))
        rest = rest[end:]


def _note(said: Said, reply: Any) -> None:
    said.answered_at = time.monotonic()
    said.answer = reply[0].decode() if isinstance(reply, list) else str(reply)
    if said.command.verb == "take" and said.answer == "OK" and len(reply) > 1:
        said.epoch = int(reply[1])
