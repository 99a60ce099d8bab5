"""The log protocol as a whole: random lives of one generation, with every promise checked at the end."""

import os
import time
from collections import Counter
from typing import Final

import pytest
from redis.asyncio import Redis

from outlive.shared.log.reader import Logged, LogReader
from outlive.shared.model.cursor import START, Cursor
from outlive.shared.store.keyspace import Keys
from outlive.shared.store.plane import OneServer
from tests.integration.logs import meta_fields, whole_log
from tests.integration.model.known import DELETED
from tests.integration.model.run import Run
from tests.integration.model.viewer import ModelViewer, frame_of
from tests.support.invariants import check_invariants
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

SEEDS: Final = int(os.environ.get("SEEDS", "300"))
_BLOCKS: Final = 10
_LONG_SEEDS: Final = 10_000
_LONG_BLOCKS: Final = 20


@pytest.fixture(autouse=True)
def _wide_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of two takes that a failover keeps from knowing each other, one pair in 65,536 has one epoch:
    # that is how rare we want it, and still more often than ten thousand of these lives may meet it.
    # Not wider than this, a few hours: a clock that is an hour off must still decide who is ahead.
    monkeypatch.setattr("outlive.shared.log.eventlog._EPOCH_NOISE", 2**24)


@pytest.mark.rule("R2", "R4", "R5", "R6", "R7", "R8", "R10", "R17", "R74", "R75", "R76")
@pytest.mark.parametrize("block", range(_BLOCKS))
async def test_any_interleaving_keeps_the_promises(
    block: int, redis: Redis, redis_server: RedisServer, keys: Keys, reader: LogReader
) -> None:
    """I1 to I7 for every viewer, the due answer to every call, and no write of a worker told to stop."""
    counts = Counter[str]()
    for seed in range(block, SEEDS, _BLOCKS):
        counts += await _live(seed, redis, redis_server, keys, reader)
    if SEEDS >= 300:
        # A model that only ever sees closed logs, or a server that never fails, proves nothing.
        assert all(counts[name] for name in ("failovers", "takes lost", "takes healed", "gaps", "resets")), counts
        assert sum(counts[f"ended {how}"] > 0 for how in ("completed", "failed", "cancelled", DELETED)) >= 3


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("block", range(_LONG_BLOCKS))
async def test_ten_thousand_interleavings_keep_the_promises(
    block: int,
    redis: Redis,
    redis_server: RedisServer,
    keys: Keys,
    reader: LogReader,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same over 10,000 other seeds, which says what happened in them and how many broke a promise."""
    counts, broken, began = Counter[str](), list[str](), time.monotonic()
    seeds = range(SEEDS + block, SEEDS + _LONG_SEEDS, _LONG_BLOCKS)
    for seed in seeds:
        try:
            counts += await _live(seed, redis, redis_server, keys, reader)
        except AssertionError as error:
            broken.append(str(error))
    with capsys.disabled():
        said = ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
        print(f"\n{len(seeds)} seeds in {time.monotonic() - began:.0f} s: {len(broken)} broke a promise; {said}")
    assert not broken, "\n\n".join(broken[:3])


async def _live(seed: int, redis: Redis, redis_server: RedisServer, keys: Keys, reader: LogReader) -> Counter[str]:
    """One seed's life; what happened in it."""
    plane = OneServer(redis_server.url)
    run = Run(seed, redis, keys, reader, plane.channels(("", 0)))
    try:
        await run.live()
        await run.end()
        await _check(run, redis, keys)
    except AssertionError as error:
        raise AssertionError("\n".join([f"seed {seed}: {error}", *run.log.trace])) from error
    await redis.unlink(keys.log(run.id), keys.meta(run.id), keys.request(run.id))
    resets = sum(viewer.transcript.resets for viewer in run.viewers)
    return run.log.counts + Counter({f"ended {run.status}": 1, "resets": resets})


async def _check(run: Run, redis: Redis, keys: Keys) -> None:
    log = await whole_log(redis, keys, run.id)
    transcripts = [viewer.transcript for viewer in run.viewers]
    if run.status == DELETED:
        assert log == []
        assert (await meta_fields(redis, keys, run.id))["status"] == DELETED
        check_invariants(transcripts, finished=False, lost_endings=run.log.lost_endings)
        return
    # Who was told 404 or 410 in between, for a create not yet or a delete no longer known, has left.
    staying = [viewer.transcript for viewer in run.viewers if not viewer.gone]
    if len(staying) < len(transcripts):
        check_invariants(transcripts, finished=False, lost_endings=run.log.lost_endings)
    entries = [(str(entry.cursor), entry.type.decode(), entry.data.decode()) for entry in log]
    # Who was there when a failover took something may hold that: an attempt's events, which the next
    # attempt's first event, or a cut, has told it to forget. What counts is in the log all the same.
    check_invariants(staying, log=None if run.lost else entries, lost_endings=run.log.lost_endings)
    check_invariants([viewer.transcript for viewer in run.late], log=entries)
    _check_meanings(run, log)
    for viewer in run.viewers:
        _check_resets(run, viewer)
        _check_what_counts(run, viewer, [entry.cursor for entry in log])


def _check_meanings(run: Run, log: list[Logged]) -> None:
    """One id is one event: in the log, in what was lost, in workers' memories and in viewers' eyes."""
    meanings = {**run.lost, **{entry.cursor: entry for entry in log}}
    for entry in log:
        assert run.lost.get(entry.cursor, entry) == entry, f"{entry.cursor} came back as another event"
    for attempt in run.attempts:
        for seq, (kind, data, *_) in enumerate(attempt._outbox._entries[1:], 1):
            known = meanings.get(Cursor(attempt._outbox.epoch, seq))
            assert known is None or (known.type.decode(), known.data) == (kind, data), f"{known} is another event"
    for viewer in run.viewers:
        for frame in viewer.transcript.frames:
            if frame.id:
                known = meanings.get(Cursor.parse(frame.id))
                assert known is not None, f"{frame.id} was never in the log"
                assert frame == frame_of(known), f"{frame.id} was seen as another event"


def _check_resets(run: Run, viewer: ModelViewer) -> None:
    """Nobody is made to start again whose place was never lost."""
    at = viewer.transcript.after
    for frame in viewer.transcript.frames:
        assert frame.event != "reset" or at in run.lost, f"reset at {at}, which the log has always had"
        at = Cursor.parse(frame.id) if frame.id else START


def _check_what_counts(run: Run, viewer: ModelViewer, log: list[Cursor]) -> None:
    """What a viewer keeps in the end, the last attempt up to the cut, is the log's end without a hole.

    Not so only for those who were told an ending that the log has lost, which nobody promised them.
    """
    terminal = viewer.transcript.terminal
    if terminal is None or terminal.id in run.log.lost_endings:
        return
    cut = Cursor.parse(terminal.data["cut"]) if "cut" in terminal.data else None
    *seen, last = viewer.transcript.segments()[-1].seen
    counted = [s for s in seen if cut is None or s.cursor <= cut]
    begins = [i for i, s in enumerate(counted) if s.frame.event == "attempt"]
    kept = [s.cursor for s in (*counted[begins[-1] if begins else 0 :], last)]
    assert kept == log[-len(kept) :], f"{viewer.transcript.name} keeps {kept}, and the log ends {log[-len(kept) - 1 :]}"
