"""What one group's server is known to be, and how long new work waits for it."""

import asyncio

import pytest

from outlive.worker.publishing.redis_health import RedisHealth
from tests.support.hand_clock import HandClock

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R10")]

LEASE_S = 12.0


class _Server:
    """One that is asked by hand."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.silent_s: float | None = None
        self.health = RedisHealth(LEASE_S, self.clock.time, lambda: self.silent_s)

    def in_grace_for_s(self) -> float:
        """How long new work waits from now on, if the server stays as it is."""
        waited_s = 0.0
        while (grace_s := self.health.grace_s) and waited_s < LEASE_S:
            self.clock.advance(grace_s)
            waited_s += grace_s
        return waited_s


async def test_a_server_that_never_failed_gives_no_grace() -> None:
    """New work begins at once."""
    server = _Server()
    assert server.health.is_up
    assert server.in_grace_for_s() == 0


async def test_new_work_waits_while_it_is_down_and_half_a_lease_longer() -> None:
    """Owners get that time to renew what they could not."""
    server = _Server()
    server.health.mark_down()
    assert server.in_grace_for_s() >= LEASE_S, "until it is up again"
    server.health.mark_up()
    assert server.in_grace_for_s() == pytest.approx(LEASE_S / 2)


async def test_a_server_that_stays_up_gives_no_grace_anew() -> None:
    """Each renewal marks it up."""
    server = _Server()
    server.health.mark_up()
    assert server.in_grace_for_s() == 0


async def test_a_renewal_without_a_reply_is_silence_before_it_is_a_failure() -> None:
    """Nothing was refused, and yet leases ran out: half a lease of grace after the reply, too."""
    server = _Server()
    with server.health.asking():
        server.clock.advance(LEASE_S / 3)
        assert server.health.grace_s == 0
        server.clock.advance(0.01)
        assert server.health.grace_s > 0
        server.health.mark_up()
    assert server.in_grace_for_s() == pytest.approx(LEASE_S / 2)


async def test_a_silence_that_a_repetition_has_hidden_counts() -> None:
    """A cluster's client tells of it; a renewal has not noticed."""
    server = _Server()
    server.silent_s = 1.0
    assert server.health.grace_s == pytest.approx(LEASE_S / 2 - 1.0)
    server.silent_s = LEASE_S
    assert server.health.grace_s == 0


async def test_a_worker_that_waited_at_its_start_waits_half_a_lease_more() -> None:
    """It has seen no failure of its own."""
    server = _Server()
    server.health.begin_grace()
    assert server.in_grace_for_s() == pytest.approx(LEASE_S / 2)


async def test_retries_back_off_until_an_event_is_written() -> None:
    """Not until a renewal succeeds: a full Redis renews leases and refuses events."""
    server = _Server()
    waits = []
    for _ in range(8):
        server.health.mark_down()
        waits.append(server.health.retry_wait_s())
        server.health.mark_up()
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.1, 1.0)
    server.health.reset_backoff()
    server.health.mark_down()
    assert server.health.retry_wait_s() == 0.1


@pytest.mark.parametrize("lease_s", [0.6, 3.0])
async def test_a_short_lease_has_shorter_retries(lease_s: float) -> None:
    """We must notice its return before others may take over."""
    health = RedisHealth(lease_s, HandClock().time, lambda: None)
    for _ in range(8):
        health.mark_down()
    assert health.retry_wait_s() == pytest.approx(lease_s / 6)


async def test_after_a_failure_the_next_renewal_is_due_soon() -> None:
    """Long before a third of a lease; and an alarm of a server that is still down cannot be cleared."""
    server = _Server()
    server.health.mark_down()
    server.health.clear_alarm()
    await asyncio.wait_for(server.health.wait_until_due(), LEASE_S / 6)
