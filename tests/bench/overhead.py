"""What Outlive adds to an answer: `python -m tests.bench.overhead`.

The same client calls the demo model directly and through Outlive by turns in one run, so that other load on the
machine affects both. Reported are the time to the first token, and how late each later token comes compared with the
model's schedule.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from tests.bench.table import COLUMNS, milliseconds, percentile, print_table, summary
from tests.support.sse import Frame, open_stream
from tests.support.stack import Stack, chat, demo

WARM_UPS: Final = 20
FIRSTS: Final = 200
STREAMS: Final = 10
TOKENS: Final = 100
PACE_S: Final = 0.02
_CHARS: Final = 4
"""Characters in each delta, so that the position in the text gives the token, however frames are cut or joined."""

ROUTES: Final = ("direct", "outlive")
AIM_MS: Final = 5.0

Samples = dict[str, list[float]]


@contextlib.asynccontextmanager
async def texts(stack: Stack, route: str, model: str) -> AsyncIterator[AsyncIterator[str]]:
    """Request one answer; yield the pieces of its text as they arrive."""
    if route == "direct":
        url, body = f"{stack.model.url}/v1/chat/completions", chat(model, stream=True)
    else:
        url, body = f"{stack.urls[0]}/v1/generations", chat(model)
    async with open_stream("POST", url, body=body) as stream:
        assert stream.status == 200, await stream.problem()
        yield _pieces(aiter(stream), route)


async def _pieces(frames: AsyncIterator[Frame], route: str) -> AsyncIterator[str]:
    async for frame in frames:
        text = _report(frame) if route == "direct" else frame.data["text"] if frame.event == "token" else ""
        if text:
            yield text


def _report(frame: Frame) -> str:
    """The content of one chunk of the model."""
    if frame.text == "[DONE]":
        return ""
    choices: list[dict[str, Any]] = frame.data["choices"]
    return (choices[0]["delta"].get("content") or "") if choices else ""


async def first_token(stack: Stack, route: str) -> float:
    """Seconds from the request, connecting included, to the first token. Reads on to the end, so
    that nothing of one answer is under way when the next is asked for."""
    began = time.perf_counter()
    first = None
    async with texts(stack, route, demo(tokens=4, pace_s=0.005)) as pieces:
        async for _ in pieces:
            first = first or time.perf_counter() - began
    assert first is not None, route
    return first


async def lateness(stack: Stack, route: str, name: str) -> list[float]:
    """Seconds each token but the first came after the model was to say it.

    A gate behind the first token sets the model's schedule at a moment the client knows: token k
    is due k paces after the gate was opened. The way to the gate is the same on both routes.
    """
    late: list[float] = []
    model = demo(tokens=TOKENS, pace_s=PACE_S, chars=_CHARS, gate=name, gate_after=1)
    chars = 0
    async with texts(stack, route, model) as pieces:
        async for text in pieces:
            now = time.perf_counter()
            if chars == 0:
                await stack.model.open_gate(name)
                opened = now
            before, chars = chars, chars + len(text)
            late += [now - opened - k * PACE_S for k in range(max(1, before // _CHARS), chars // _CHARS)]
    assert len(late) == TOKENS - 1, f"{route}: {len(late)} tokens"
    return late


async def measure(stack: Stack) -> tuple[Samples, Samples]:
    """Times to the first token and latenesses, by route."""
    firsts: Samples = {route: [] for route in ROUTES}
    late: Samples = {route: [] for route in ROUTES}
    for n in range(WARM_UPS + FIRSTS):
        for route in ROUTES if n % 2 else reversed(ROUTES):
            took = await first_token(stack, route)
            if n >= WARM_UPS:
                firsts[route].append(took)
    for n in range(STREAMS):
        for route in ROUTES if n % 2 else reversed(ROUTES):
            late[route] += await lateness(stack, route, f"{route}-{n}")
    return firsts, late


def report(title: str, samples: Samples) -> list[float]:
    """Print both routes and their difference, and return the difference in seconds."""
    direct, ours = (summary(samples[route]) for route in ROUTES)
    added = [b - a for a, b in zip(direct, ours, strict=True)]
    rows = [
        ("demo model directly", milliseconds(samples["direct"])),
        ("through Outlive", milliseconds(samples["outlive"])),
        ("added", [f"{1000 * value:.2f}" for value in added]),
        ("ratio", [f"{b / a:.2f}" for a, b in zip(direct, ours, strict=True)]),
    ]
    print_table(title, COLUMNS, rows)
    return added


async def first_tokens() -> tuple[float, float]:
    """p50 of the time to the first token in seconds, directly and through us; shorter than `main`."""
    times: Samples = {route: [] for route in ROUTES}
    async with Stack() as stack:
        for n in range(WARM_UPS + FIRSTS // 2):
            for route in ROUTES if n % 2 else reversed(ROUTES):
                took = await first_token(stack, route)
                if n >= WARM_UPS:
                    times[route].append(took)
    direct, through = (percentile(times[route], 50) for route in ROUTES)
    return direct, through


async def main() -> None:
    async with Stack() as stack:
        firsts, late = await measure(stack)
    added = report(f"Time to first token, {FIRSTS} requests each", firsts)
    print(f"\nadded to the first token, p50: {1000 * added[0]:.2f} ms (aim: < {AIM_MS:g} ms)")
    report(f"Lateness per token, {STREAMS} answers each of {TOKENS} tokens {1000 * PACE_S:g} ms apart", late)


if __name__ == "__main__":
    asyncio.run(main())
