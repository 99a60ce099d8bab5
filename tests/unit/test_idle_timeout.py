"""A provider's silence ends when its time is over, and not before."""

import asyncio

import pytest

from outlive.worker.attempt.idle_timeout import IdleTimeout
from tests.support.hand_clock import HandClock

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R27")]

SHORT_S = 1 / 16
LONG_S = 4096.0
EARLY = 15 / 16
"""Of a wait. Binary fractions add up exactly."""
REST = 1 / 16


class _Wait:
    """Something that is waited for within an idle timeout, for ever."""

    def __init__(self, first_s: float) -> None:
        self.clock = HandClock()
        self.idle = IdleTimeout(self.clock, first_s)
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self.idle:
            await asyncio.Event().wait()

    async def is_over_after(self, seconds: float) -> bool:
        """Whether it timed out within this time, by the clock of the test."""
        await _turns()
        self.clock.advance(seconds)
        await _turns()
        if not self._task.done():
            return False
        assert isinstance(self._task.exception(), TimeoutError)
        return self.idle.expired()

    async def __aenter__(self) -> "_Wait":
        await _turns()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


async def _turns() -> None:
    """Let everything run that can run now."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_nothing_sent_is_too_long_a_silence() -> None:
    """What is inside is cancelled, and the error is ours."""
    async with _Wait(SHORT_S) as wait:
        assert not await wait.is_over_after(SHORT_S * EARLY)
        assert await wait.is_over_after(SHORT_S * REST)


async def test_each_piece_starts_it_anew() -> None:
    """Ten times as long as the wait, in pieces each of which is in time."""
    async with _Wait(4 * SHORT_S) as wait:
        for _ in range(40):
            assert not await wait.is_over_after(SHORT_S)
            wait.idle.restart(4 * SHORT_S)
        assert not await wait.is_over_after((3 + EARLY) * SHORT_S)
        assert await wait.is_over_after(REST * SHORT_S)


@pytest.mark.parametrize(("first_s", "then_s"), [(LONG_S, SHORT_S), (SHORT_S, SHORT_S), (SHORT_S, LONG_S)])
async def test_the_latest_wait_counts(first_s: float, then_s: float) -> None:
    """The timer comes in time for a shorter wait, too."""
    async with _Wait(first_s) as wait:
        wait.idle.pause()
        wait.idle.restart(then_s)
        assert not await wait.is_over_after(then_s * EARLY)
        assert await wait.is_over_after(then_s * REST)


async def test_a_pause_is_no_silence() -> None:
    """Our own slowness is not the provider's; the wait after it has its whole time."""
    async with _Wait(SHORT_S) as wait:
        wait.idle.pause()
        assert not await wait.is_over_after(5 * SHORT_S)
        wait.idle.restart(SHORT_S)
        assert not await wait.is_over_after(EARLY * SHORT_S)
        assert await wait.is_over_after(REST * SHORT_S)


async def test_it_ends_what_waits_on_a_real_loop() -> None:
    """An event loop is a clock with timers."""
    with pytest.raises(TimeoutError):
        async with IdleTimeout(asyncio.get_running_loop(), 0.001) as idle:
            await asyncio.Event().wait()
    assert idle.expired()


async def test_another_timeout_is_not_ours() -> None:
    """A caller can tell the two apart."""
    with pytest.raises(TimeoutError):
        async with IdleTimeout(HandClock(), LONG_S) as idle:
            raise TimeoutError
    assert not idle.expired()
