"""The log protocol as a whole: random lives of one generation, with every promise checked at the end."""

import os
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.eventlog import EventLog
from shared.keys import Keys
from shared.logreader import LogReader
from tests.integration.logs import meta_fields, whole_log
from tests.integration.model import Run
from tests.support.invariants import check_invariants

pytestmark = pytest.mark.anyio

SEEDS: Final = int(os.environ.get("SEEDS", "300"))
_BLOCKS: Final = 10
_STEPS: Final = 80


@pytest.mark.rule("R2", "R4", "R5", "R6", "R7", "R17")
@pytest.mark.parametrize("block", range(_BLOCKS))
async def test_any_interleaving_keeps_the_promises(
    block: int, redis: Redis, keys: Keys, eventlog: EventLog, reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I1 to I7 for every reader and the log, and no write of a worker that was told to stop."""
    # So that readers are in the middle of things most of the time.
    monkeypatch.setattr("shared.logreader.PAGE", 3)
    ends: set[str | None] = set()
    accepted = 0
    for seed in range(block, SEEDS, _BLOCKS):
        run = Run(seed, redis, keys, eventlog, reader)
        try:
            await run.live(_STEPS)
            await run.end()
            await _check(run, redis, keys)
        except AssertionError as error:
            raise AssertionError("\n".join([f"seed {seed}: {error}", *run.trace])) from error
        ends.add(run.status)
        accepted += run.accepted
        await redis.unlink(keys.log(run.id), keys.meta(run.id), keys.request(run.id))
    if SEEDS >= 300:
        # A model that only ever sees closed logs proves nothing.
        assert len(ends) >= 3
        assert accepted > SEEDS / _BLOCKS


async def _check(run: Run, redis: Redis, keys: Keys) -> None:
    assert run.from_zombies == 0
    log = await whole_log(redis, keys, run.id)
    if run.status == "deleted":
        assert log == []
        assert (await meta_fields(redis, keys, run.id))["status"] == "deleted"
        check_invariants(run.transcripts, finished=False)
        return
    entries = [(str(entry.cursor), entry.type.decode(), entry.data.decode()) for entry in log]
    check_invariants(run.transcripts, log=entries)
    # What each worker had in memory is what the log has, id for id and byte for byte.
    written = {entry.cursor: (entry.type.decode(), entry.data) for entry in log}
    for attempt in run.attempts:
        for seq, entry in enumerate(attempt.entries[1:], 1):
            cursor = attempt.taken.cursor._replace(seq=seq)
            assert written.get(cursor, (entry.type, entry.data)) == (entry.type, entry.data), (
                f"{cursor} is another event"
            )
    assert {entry.cursor.epoch for entry in log[1:-1]} <= {attempt.taken.epoch for attempt in run.attempts}
