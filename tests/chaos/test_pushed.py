"""What happens to the messages that logs push to an API process: they end in the middle, are lost, or do not come."""

import asyncio

import pytest

from tests.chaos.fault_run import FaultRun
from tests.chaos.redis_tap import Tap
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R77")]

CUTS, CUTS_IN_MESSAGES = 8, 3
"""Each time a subscriber waits a little longer before it connects again."""
MORE_EVENTS = 60
"""The log grows by so many events during a fault: more than a second at the provider's pace."""


def taps_of_apis(run: FaultRun) -> list[Tap]:
    return [run.deployment.link(api).tap for api in run.deployment.apis]


async def wait_for_growth(run: FaultRun, generation_id: str, events: int = MORE_EVENTS) -> None:
    wanted = len(await run.deployment.stack.log(generation_id)) + events

    async def has_grown() -> bool:
        return len(await run.deployment.stack.log(generation_id)) >= wanted

    await until(has_grown, 20, f"{events} more events in the log")


@pytest.mark.fault("connections of subscribers cut inside a message, again and again")
async def test_messages_end_in_the_middle(run: FaultRun) -> None:
    """The half is dropped; the log is read when its channel speaks again."""
    answers = [await run.start_answer(viewers=3, pace_s=0.02, tokens=200) for _ in range(3)]
    await run.wait_for_events(tokens=3)
    run.fault_begins()
    for tap in taps_of_apis(run):
        tap.cuts_in_message = CUTS_IN_MESSAGES
    await until(lambda: not any(tap.cuts_in_message for tap in taps_of_apis(run)), 20, "all cuts")
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=4)
    assert {answer.snapshot["status"] for answer in answers} == {"completed"}
    assert run.notes["resets"] == 0


@pytest.mark.fault("Redis closes its subscribers, again and again, as at the limit of their output buffers")
async def test_subscribers_are_closed(run: FaultRun) -> None:
    """What was in the buffers is in the logs."""
    answers = [await run.start_answer(viewers=3, pace_s=0.02, tokens=200) for _ in range(3)]
    await run.wait_for_events(tokens=3)
    run.fault_begins()
    async with run.deployment.client() as redis:
        for _ in range(CUTS):
            await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
            # The rhythm of the fault itself: subscribers must have time to come back.
            await asyncio.sleep(run.chance.uniform(0.05, 0.4))
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=4)
    assert {answer.snapshot["status"] for answer in answers} == {"completed"}
    assert run.notes["resets"] == 0


@pytest.mark.rule("R74", "R76")
@pytest.mark.fault("one message to subscribers in ten dropped")
async def test_one_message_in_ten_is_dropped(run: FaultRun) -> None:
    """The next message shows the hole; behind the last one, which is a terminal, the comparison does."""
    for tap in taps_of_apis(run):
        tap.drops_message = lambda: run.chance.random() < 0.1
    answers = [await run.start_answer(viewers=3, pace_s=0.02, tokens=100) for _ in range(10)]
    run.fault_begins()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(answer_s=4, slack_s=4)
    assert {answer.snapshot["status"] for answer in answers} == {"completed"}
    assert run.notes["resets"] == 0


@pytest.mark.rule("R76")
@pytest.mark.fault("subscribers black-holed, while commands of the same API process pass")
async def test_nothing_is_pushed(run: FaultRun) -> None:
    """The silence is noticed; until the way is free the logs are read."""
    answer = await run.start_answer(viewers=6, pace_s=0.02, tokens=250)
    await run.wait_for_events(tokens=3)
    run.fault_begins()
    for tap in taps_of_apis(run):
        tap.subscribers_pass.clear()
    await wait_for_growth(run, answer.generation_id, 2 * MORE_EVENTS)
    await run.wait_for_events(tokens=MORE_EVENTS)
    for tap in taps_of_apis(run):
        tap.clear()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(recovered_by="event", answer_s=5)
    assert (answer.snapshot["status"], run.notes["resets"]) == ("completed", 0)


@pytest.mark.fault("commands of API processes black-holed, while messages pass")
async def test_nothing_but_messages_arrives(run: FaultRun) -> None:
    """Viewers go on as if nothing was: messages hold the events."""
    answer = await run.start_answer(viewers=6, pace_s=0.02, tokens=250)
    await run.wait_for_events(tokens=3)
    run.fault_begins()
    for tap in taps_of_apis(run):
        tap.commands_pass.clear()
    await run.wait_for_events(tokens=MORE_EVENTS)
    for tap in taps_of_apis(run):
        tap.clear()
    run.fault_ends()
    await run.check_nothing_lost_or_doubled(answer_s=5)
    assert (answer.snapshot["status"], run.notes["resets"]) == ("completed", 0)
