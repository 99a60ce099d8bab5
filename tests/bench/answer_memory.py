"""What a running answer holds in a worker and in an API process: `python -m tests.bench.answer_memory`.

40 answers with one viewer each wait at a gate of the demo model when all their tokens are in the log. A first batch has
run and ended before, so that what a process keeps for later does not count.
"""

import asyncio
from typing import Final

from tests.bench.counting import watch
from tests.bench.table import print_table
from tests.support.stack import Stack, demo, unique
from tests.support.waiting import until

ANSWERS: Final = 40
TOKENS: Final = (300, 1_200, 4_800)
_PACE_S: Final = 0.02
_WITHIN_S: Final = 300.0
_COUNTED: Final = 0.99
"""`Watch` misses an id that is split over two reads."""
_SETTINGS: Final = {"feed_linger_s": 0.1, "slots": ANSWERS}


async def run_answers(stack: Stack, tokens: int) -> tuple[int, int, int]:
    """Bytes of the worker and of the API while the answers run, and events in the log of one."""
    gate = unique()
    model = demo(tokens=tokens + 1, pace_s=_PACE_S, gate=gate, gate_after=tokens)
    ids = await asyncio.gather(*(stack.create(model) for _ in range(ANSWERS)))
    viewers = await watch(stack.urls, list(ids), 1)

    async def all_wait() -> bool:
        requests = await stack.model.requests(model)
        return len(requests) == ANSWERS and all(one["at_gate"] for one in requests)

    await until(all_wait, _WITHIN_S, "all answers at the gate", every_s=0.5)
    lengths: list[int] = []

    async def all_shown() -> bool:
        before = lengths[:]
        lengths[:] = await asyncio.gather(*(_length(stack, generation_id) for generation_id in ids))
        return lengths == before and sum(one.events for one in viewers) > _COUNTED * sum(lengths)

    await until(all_shown, _WITHIN_S, "all tokens in the logs and at the viewers", every_s=1)
    held = stack.workers[0].resident_bytes, stack.apis[0].resident_bytes, lengths[0]
    await stack.model.open_gate(gate)
    for generation_id in ids:
        await stack.closed(generation_id)
    for viewer in viewers:
        viewer.close()
    return held


async def _length(stack: Stack, generation_id: str) -> int:
    return len(await stack.log(generation_id))


async def main() -> None:
    """Print the table of docs/sizing.md."""
    rows = []
    for tokens in TOKENS:
        async with Stack(settings=_SETTINGS) as stack:
            await run_answers(stack, 50)
            worker, api = stack.workers[0].resident_bytes, stack.apis[0].resident_bytes
            worker_held, api_held, events = await run_answers(stack, tokens)
        grown = [held - before for held, before in ((worker_held, worker), (api_held, api))]
        cells = [f"{events:,}", *(f"{grow / 2**20:.1f} MiB; {grow / ANSWERS / 1000:.0f} kB" for grow in grown)]
        rows.append((f"{tokens:,}", cells))
    columns = ("events", f"worker: {ANSWERS} answers; one", f"API: {ANSWERS} answers; one")
    print_table("Memory of running answers, by tokens", columns, rows)


if __name__ == "__main__":
    asyncio.run(main())
