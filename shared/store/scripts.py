"""Owns how our Lua scripts reach Redis: loading, calling, sending many at once.

Knows nothing of what they do; the verbs are in `eventlog.py` and `queue.py`, the rules in PROTOCOL.md. Each script
begins with `#!lua`, so a server that is full, a replica or without its quorum refuses it before its first effect,
never in the middle.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha1
from importlib import resources
from typing import Any, Final, NamedTuple

from redis.exceptions import NoScriptError

from outlive.shared.errors import OutliveError
from outlive.shared.store.cluster import Client
from outlive.shared.store.connect import translate, translated

Word = str | bytes | int | float
"""One argument of a command."""

_LUA: Final = resources.files("outlive.shared") / "lua"
_HELPERS: Final = (_LUA / "prelude" / "helpers.lua").read_text()
_GENERATION: Final = (_LUA / "prelude" / "generation.lua").read_text()


class Script(NamedTuple):
    """One script's text and the digest Redis knows it by."""

    text: str
    digest: str


def load(name: str, *, on_log: bool = True, allow_oom: bool = False, no_writes: bool = False) -> Script:
    """The script in `lua/<name>.lua`, behind the helpers of `lua/prelude`. With `on_log` it is about one generation:
    the prelude names that generation's keys. With `allow_oom` it also runs when Redis is full: only for scripts that
    end a generation or keep it alive, because none of them grows Redis. With `no_writes` it only reads, also where
    Redis takes no writes."""
    flags = [flag for flag, is_set in (("allow-oom", allow_oom), ("no-writes", no_writes)) if is_set]
    shebang = f"#!lua flags={','.join(flags)}\n" if flags else "#!lua\n"
    text = shebang + _HELPERS + (_GENERATION if on_log else "") + (_LUA / f"{name}.lua").read_text()
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


class Call(NamedTuple):
    """One script with its keys and arguments, ready to send."""

    script: Script
    keys: Sequence[str]
    args: Sequence[Word]

    def words(self) -> tuple[Word, ...]:
        """The command as it is sent."""
        return ("EVALSHA", self.script.digest, len(self.keys), *self.keys, *self.args)


async def run(redis: Client, call: Call) -> Any:
    """The reply to one call, as redis-py gives it: bytes for a string, int for a number, None for false, and a list of
    these for an array. `lua/<name>.lua` says which of them a script returns, and `log/replies.py` reads those of the
    log. Raises `LogUnavailable`."""
    with translated():
        try:
            return await _send(redis, call)
        except NoScriptError:
            await _load_all(redis, [call])
            return await _send(redis, call)


async def run_many(redis: Client, calls: Sequence[Call]) -> list[Any]:
    """The replies to all calls, in order and each as from `run`, sent as one pipeline. Where Redis refused a call, an
    `OutliveError` (`LogFull`, say) takes the place of its reply.

    Raises `LogUnavailable` when the whole pipeline failed: then any part of it may have run.
    """
    replies = await _pipeline(redis, calls)
    missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if missing:
        again = [calls[i] for i in missing]
        await _load_all(redis, again)
        for i, reply in zip(missing, await _pipeline(redis, again), strict=True):
            replies[i] = reply
    return [_ours(reply) if isinstance(reply, Exception) else reply for reply in replies]


async def _send(redis: Client, call: Call) -> Any:
    # redis-py leaves this one method without types.
    return await redis.execute_command(*call.words())  # type: ignore[no-untyped-call]


async def _pipeline(redis: Client, calls: Sequence[Call]) -> list[Any]:
    with translated():
        async with redis.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.execute_command(*call.words())
            return list(await pipe.execute(raise_on_error=False))


async def _load_all(redis: Client, calls: Iterable[Call]) -> None:
    with translated():
        for script in {call.script for call in calls}:
            await redis.script_load(script.text)


def _ours(error: Exception) -> OutliveError:
    ours = translate(error)
    if ours is None:
        raise error
    return ours
