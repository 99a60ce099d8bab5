"""Which requests are sent again, how often, and after how long."""

import pytest

from outlive.shared.errors import UpstreamBroken, UpstreamRefused
from outlive.worker.attempt.retry import Unanswered, before_first_piece, restart_wait_s

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R28")]


class _Asked:
    """A request that fails in the given ways, one after another, and then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.times = 0
        self.waits_s: list[float] = []

    async def run(self, within_s: float = 600.0) -> None:
        tries = before_first_piece(lambda: within_s)
        # tenacity's type leaves out the coroutine functions it takes here.
        tries.sleep = self._sleep  # type: ignore[assignment]
        async for attempt in tries:
            with attempt:
                self.times += 1
                if self.failures:
                    raise self.failures.pop(0)

    async def _sleep(self, seconds: float) -> None:
        self.waits_s.append(seconds)


def _unanswered(retry_after_s: float | None = None) -> Unanswered:
    return Unanswered(UpstreamBroken("upstream_unavailable", "no", retry_after_s=retry_after_s))


async def test_an_answer_is_asked_for_once() -> None:
    """Nothing is repeated without need."""
    asked = _Asked()
    await asked.run()
    assert (asked.times, asked.waits_s) == (1, [])


async def test_before_the_first_piece_it_is_asked_again() -> None:
    """Nobody has seen anything yet."""
    asked = _Asked(_unanswered(), _unanswered(), _unanswered())
    await asked.run()
    assert (asked.times, len(asked.waits_s)) == (4, 3)


async def test_the_fourth_failure_is_the_last() -> None:
    """And it comes out as it was, not as tenacity's."""
    failures = [_unanswered() for _ in range(5)]
    asked = _Asked(*failures)
    with pytest.raises(Unanswered) as caught:
        await asked.run()
    assert asked.times == 4
    assert caught.value is failures[3]


@pytest.mark.parametrize(
    "error", [UpstreamRefused("upstream_auth", "no"), UpstreamBroken("upstream_truncated", "x"), ValueError()]
)
async def test_nothing_else_is_asked_again(error: Exception) -> None:
    """What was refused, what was said in part, and our own mistakes."""
    asked = _Asked(error)
    with pytest.raises(type(error)):
        await asked.run()
    assert asked.times == 1


async def test_waits_grow_with_jitter_within_bounds() -> None:
    """Full jitter: a herd must not come back together."""
    seen = []
    for _ in range(200):
        asked = _Asked(_unanswered(), _unanswered(), _unanswered())
        await asked.run()
        seen.append(asked.waits_s)
    for at, longest_s in enumerate((0.5, 1.0, 2.0)):
        waits = [waits_s[at] for waits_s in seen]
        assert 0 <= min(waits) < longest_s / 4
        assert longest_s * 3 / 4 < max(waits) <= longest_s


async def test_retry_after_is_a_floor_with_jitter_on_top() -> None:
    """Everybody was told the same second."""
    waits = []
    for _ in range(50):
        asked = _Asked(_unanswered(7.0))
        await asked.run()
        waits += asked.waits_s
    assert 7.0 <= min(waits) < max(waits) < 8.0


async def test_a_provider_that_asks_for_too_long_is_not_waited_for() -> None:
    """By then the user has asked again."""
    asked = _Asked(_unanswered(61.0))
    with pytest.raises(Unanswered):
        await asked.run()
    assert (asked.times, asked.waits_s) == (1, [])


async def test_after_silence_it_is_asked_only_once_more() -> None:
    """Each time costs the user the whole timeout."""
    silent = [Unanswered(UpstreamBroken("upstream_timeout", "no")) for _ in range(3)]
    asked = _Asked(*silent)
    with pytest.raises(Unanswered) as caught:
        await asked.run()
    assert (asked.times, caught.value) == (2, silent[1])


async def test_a_wait_that_would_pass_the_deadline_is_not_begun() -> None:
    """It fails at once, and says why it failed, not that time is up."""
    asked = _Asked(_unanswered(30.0))
    with pytest.raises(Unanswered):
        await asked.run(within_s=29.0)
    assert (asked.times, asked.waits_s) == (1, [])


def test_a_new_attempt_waits_a_moment_of_its_own() -> None:
    """All that broke off together must not come back together."""
    waits = [restart_wait_s() for _ in range(200)]
    assert 0 <= min(waits) < 0.1
    assert 0.4 < max(waits) <= 0.5


async def test_an_unanswered_request_says_what_its_cause_said() -> None:
    """For logs."""
    assert str(_unanswered()) == "no"
