"""Owns counting the commands that a Redis server runs, by what sent them.

MONITOR tells which script a command belongs to, which `INFO commandstats` does not. It costs the server time, so nobody
measures CPU meanwhile.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import outlive.shared
from outlive.shared.store import scripts

_LUA: Final = Path(outlive.shared.__file__).parent / "lua"
_LINE_BYTES: Final = 2**24


class Count(NamedTuple):
    """Of one script, or of one command that a client sent by itself."""

    sent: int
    inside: int
    """Commands that the script ran."""


async def counted(socket_path: Path, seconds: float) -> dict[str, Count]:
    """The commands of the server at this socket from now on, by the script's or the command's name."""
    reader, writer = await asyncio.open_unix_connection(str(socket_path), limit=_LINE_BYTES)
    lines: list[bytes] = []
    try:
        writer.write(b"MONITOR\r\n")
        await reader.readline()
        try:
            async with asyncio.timeout(seconds):
                while line := await reader.readline():
                    lines.append(line)
        except TimeoutError:
            pass
    finally:
        writer.close()
    return count(lines, _names())


def count(lines: Iterable[bytes], names: Mapping[str, str]) -> dict[str, Count]:
    """`lines` as MONITOR sends them: a script's own commands follow its EVALSHA. `names` of scripts by digest."""
    sent: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    script = ""
    for line in lines:
        head, _, words = line.partition(b'] "')
        if head.endswith(b" lua"):
            inside[script] += 1
            continue
        command, _, rest = words.decode(errors="replace").partition('"')
        command = command.lower()
        if command == "evalsha":
            script = command = names.get(rest.split('"')[1], "another script")
        sent[command] += 1
    return {name: Count(sent[name], inside[name]) for name in sent}


def _names() -> dict[str, str]:
    return {
        scripts.load(path.stem, on_log=on_log, allow_oom=allow_oom).digest: path.stem
        for path in _LUA.glob("*.lua")
        for on_log in (False, True)
        for allow_oom in (False, True)
    }
