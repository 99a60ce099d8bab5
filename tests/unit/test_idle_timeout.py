"""A provider's silence: over when its time is, and not before."""

import asyncio
from contextlib import suppress

import pytest

from outlive.worker.attempt.idle_timeout import IdleTimeout

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R27")]

SHORT_S = 0.05
LONG_S = 3600.0


async def test_nothing_said_is_too_long_a_silence() -> None:
    """What is inside is cancelled, and the error is ours."""
    with pytest.raises(TimeoutError):
        async with IdleTimeout(SHORT_S) as silence:
            await asyncio.Event().wait()
    assert silence.expired()


async def test_each_word_winds_it_up() -> None:
    """Ten times as long as the wait, in words each of which is in time."""
    async with IdleTimeout(SHORT_S * 4) as silence:
        for _ in range(40):
            await asyncio.sleep(SHORT_S)
            silence.wait(SHORT_S * 4)
    assert not silence.expired()


@pytest.mark.parametrize(("first_s", "then_s"), [(LONG_S, SHORT_S), (SHORT_S, SHORT_S)])
async def test_the_latest_wait_counts(first_s: float, then_s: float) -> None:
    """A shorter one is looked at in time, too."""
    silence = IdleTimeout(first_s)
    assert await _waited_s(silence, then_s) >= then_s
    assert silence.expired()


async def test_a_rest_is_no_silence() -> None:
    """Our own slowness is not the provider's; what is waited for afterwards has its whole time."""
    assert await _waited_s(IdleTimeout(SHORT_S), SHORT_S, rest_s=5 * SHORT_S) >= SHORT_S


async def _waited_s(silence: IdleTimeout, then_s: float, rest_s: float = 0.0) -> float:
    """How long after a rest nothing was said, until that was too long."""
    loop = asyncio.get_running_loop()
    waited_since = loop.time()
    with suppress(TimeoutError):
        async with silence:
            silence.rest()
            await asyncio.sleep(rest_s)
            silence.wait(then_s)
            waited_since = loop.time()
            await asyncio.Event().wait()
    return loop.time() - waited_since


async def test_another_timeout_is_not_ours() -> None:
    """Whoever asks can tell the two apart."""
    with pytest.raises(TimeoutError):
        async with IdleTimeout(LONG_S) as silence:
            raise TimeoutError
    assert not silence.expired()
