"""What OpenAI's wires cost beside the native one: `python -m tests.bench.wires`.

Viewers follow answers live, all on one wire at a time, and the wires by turns in one run. Reported is the CPU time of
the API process per event of the log and viewer: reading, encoding, writing. With one viewer for each answer, the cost
of a wire is not shared; with many, an event is encoded once for all.
"""

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.bench.table import percentile, print_table
from tests.support.stack import Stack, demo, unique
from tests.support.waiting import until

ROUNDS: Final = 5
TOKENS: Final = 150
PACE_S: Final = 0.01
LOADS: Final = ((20, 1), (2, 40))
"""Answers at a time, and viewers of each."""

PATHS: Final = {
    "native": "/v1/generations/{id}/events?fold=false",
    "chat": "/v1/chat/completions/{id}/stream",
    "responses": "/v1/responses/{id}?stream=true",
}
AIM: Final = 1.5


async def cost_s(stack: Stack, wire: str, answers: int, viewers: int) -> float:
    """CPU seconds of the API process per event and viewer, in one round."""
    gate = unique()
    model = demo(pace_s=PACE_S, tokens=TOKENS, gate=gate, gate_after=0)
    ids = [await stack.create(model) for _ in range(answers)]
    reading = [
        asyncio.create_task(read(stack.urls[0] + PATHS[wire].format(id=generation_id)))
        for generation_id in ids
        for _ in range(viewers)
    ]
    for generation_id in ids:
        await until(partial(watched, stack, generation_id, viewers), 20, "all viewers")
    before = cpu_s(stack.apis[0].pid)
    await stack.model.open_gate(gate)
    for task in reading:
        await task
    used = cpu_s(stack.apis[0].pid) - before
    events = [len(await stack.log(generation_id)) for generation_id in ids]
    return used / (sum(events) * viewers)


async def watched(stack: Stack, generation_id: str, viewers: int) -> bool:
    watching: int = (await stack.snapshot(generation_id))["viewers"]
    return watching == viewers


async def read(url: str) -> None:
    """Read all bytes of one response, and do nothing with them."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(f"GET {address.path}?{address.query} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
    tail = b""
    while piece := await reader.read(65_536):
        tail = (tail + piece)[-7:]
    assert tail.endswith(b"0\r\n\r\n"), url
    writer.close()


def cpu_s(pid: int) -> float:
    """User and system time so far. Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main() -> None:
    async with Stack() as stack:
        for answers, viewers in LOADS:
            costs: dict[str, list[float]] = {wire: [] for wire in PATHS}
            for n in range(ROUNDS + 1):
                for wire in PATHS if n % 2 else reversed(PATHS):
                    cost = await cost_s(stack, wire, answers, viewers)
                    if n:
                        costs[wire].append(cost)
            medians = {wire: percentile(watching, 50) for wire, watching in costs.items()}
            rows = [(wire, (f"{1e6 * cost:.1f}", f"{cost / medians['native']:.2f}")) for wire, cost in medians.items()]
            title = f"{answers} answers at a time, {viewers} viewers each, median of {ROUNDS} rounds"
            print_table(title, ("us per event and viewer", f"to native (aim: {AIM:g})"), rows)


if __name__ == "__main__":
    asyncio.run(main())
