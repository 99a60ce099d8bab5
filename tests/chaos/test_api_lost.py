"""An API process with hundreds of viewers ends: they resume on another and miss nothing."""

import pytest

from tests.bench.table import percentile
from tests.chaos.fault_run import FaultRun
from tests.support.stalled_viewer import has_bytes, stalled_viewer
from tests.support.transcript import Mark
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

VIEWERS = 300
RECOVERY_S = 2.0
LEAVING_S = RECOVERY_S + 2.0
"""The process sends its viewers away one after another, and serves each until then."""
EXIT_S = 8.0
"""The drain, a second for output that waits for readers, and a busy machine."""

PACE_S, TOKENS = 0.05, 60


@pytest.mark.rule("R1", "R8")
@pytest.mark.fault("API kill -9, one of two, 300 viewers")
async def test_kill(run: FaultRun) -> None:
    """Half of the viewers lose their connection without notice."""
    await run.start_answer(viewers=VIEWERS, pace_s=PACE_S, tokens=TOKENS)
    await run.wait_for_events(tokens=3)
    run.fault_begins()
    run.deployment.apis[0].kill()
    await run.check_nothing_lost_or_doubled(recovered_by="connection", answer_s=PACE_S * TOKENS)
    assert percentile(run.cost.recoveries_s, 99) < RECOVERY_S


@pytest.mark.rule("R1", "R8")
@pytest.mark.fault("API SIGTERM, 300 viewers, one of them stalled")
async def test_terminate(run: FaultRun) -> None:
    """Every stream ends cleanly with a `retry:` and without a terminal, and the process exits."""
    leaving = run.deployment.apis[0]
    large = await run.start_answer(viewers=1, pace_s=0, tokens=240, wishes={"chars": 16_000})
    await large.watching
    watched = await run.start_answer(viewers=VIEWERS, pace_s=PACE_S, tokens=TOKENS)
    await run.wait_for_events(watched, tokens=3)
    with stalled_viewer(leaving.port, large.generation_id) as stalled:
        await until(lambda: has_bytes(stalled), 10, "bytes for the stalled viewer")
        run.fault_begins()
        leaving.terminate()
        assert await leaving.wait(EXIT_S) == 0
    await run.check_nothing_lost_or_doubled(recovered_by="connection", answer_s=PACE_S * TOKENS, recovering=[watched])
    ends = [
        entry.note
        for viewer in watched.viewers
        for entry in viewer.transcript.entries
        if isinstance(entry, Mark) and entry.note.startswith("ended")
    ]
    assert [end for end in ends if not end.startswith("ended clean")] == []
    assert percentile(run.cost.recoveries_s, 99) < LEAVING_S
