"""What we rely on inside arq, so that another version of it fails here and not in a running fleet.

These need no Redis. What arq does with one is in tests/integration/test_arqworker.py.
"""

import asyncio
import inspect
from typing import Any

import pytest
from arq import constants
from arq.connections import ArqRedis
from arq.jobs import deserialize_job_raw, serialize_job
from arq.worker import Worker, func
from redis.asyncio import Redis

from outlive.shared.queue.queue import JOB_FUNCTION, Queue, deserialize, serialize
from outlive.shared.store.connect import pool
from outlive.shared.store.keyspace import Keys
from outlive.worker.arqworker import ArqWorker
from tests.support.metrics_reading import unread_worker_metrics

pytestmark = pytest.mark.anyio

_NOWHERE = "unix:///nowhere/redis.sock"
_SLOTS = 3


async def _deliver(_: str) -> None:
    return None


async def _other(ctx: dict[Any, Any]) -> None:
    return None


@pytest.fixture
async def worker() -> ArqWorker:
    """Never connected: making one asks nothing of Redis."""
    nobody = Redis.from_url(_NOWHERE)
    queue = Queue(nobody, Keys("ol"), expiry_s=60.0)
    return ArqWorker(
        queue,
        pool(_NOWHERE),
        nobody,
        _deliver,
        unread_worker_metrics().claimed,
        slots=_SLOTS,
        job_timeout_s=60.0,
        may_claim=lambda: True,
    )


@pytest.fixture
def handled_signals(monkeypatch: pytest.MonkeyPatch, anyio_backend: str) -> list[int]:
    """The signals somebody asked the loop to handle."""
    asked: list[int] = []
    monkeypatch.setattr(
        asyncio.SelectorEventLoop, "add_signal_handler", lambda _, number, *__: asked.append(int(number))
    )
    return asked


def test_arq_keeps_jobs_under_the_names_we_write() -> None:
    """`enqueue` writes the first; the others are looked for when we say that nothing is left."""
    assert constants.job_key_prefix == "arq:job:"
    assert constants.in_progress_key_prefix == "arq:in-progress:"
    assert constants.retry_key_prefix == "arq:retry:"
    assert constants.result_key_prefix == "arq:result:"


@pytest.mark.rule("R21")
def test_a_serialized_job_ends_with_its_time() -> None:
    """The enqueue script puts Redis's time where the placeholder stands, last of all."""
    job = serialize_job(JOB_FUNCTION, ("gen_0",), {}, None, 0, serializer=serialize)
    assert job == b'{"t":null,"f":"generate","a":["gen_0"],"k":{},"et":0}'
    head, tail = job.rsplit(b"0", 1)
    whole = head + b"1795330013450" + tail
    found: tuple[Any, ...] = deserialize_job_raw(whole, deserializer=deserialize)
    assert found == (JOB_FUNCTION, ["gen_0"], {}, None, 1795330013450)


def test_run_job_takes_an_id_and_a_score() -> None:
    """Only ours may be called without arq's own claim before it: it must not ask for more."""
    assert list(inspect.signature(Worker.run_job).parameters) == ["self", "job_id", "score"]
    assert inspect.iscoroutinefunction(Worker.run_job)


async def test_functions_are_found_by_the_name_in_the_job(worker: ArqWorker) -> None:
    """One function, whatever its name in Python; how often it may be tried is not for arq to say."""
    assert list(worker.functions) == [JOB_FUNCTION]
    assert (worker.functions[JOB_FUNCTION].max_tries or 0) >= 1_000


async def test_arq_counts_slots_as_we_do(worker: ArqWorker) -> None:
    """One permit more than slots, so that taking one for a free slot never waits."""
    assert (worker.max_jobs, worker.job_counter, worker.tasks) == (_SLOTS, 0, {})
    for _ in range(_SLOTS + 1):
        assert not worker.sem.locked()
        await worker.sem.acquire()
    assert worker.sem.locked()


async def test_the_end_of_a_job_gives_back_one_slot_and_one_permit(worker: ArqWorker) -> None:
    """Both or neither: else slots would leak. A permit too many is an error, not a new slot."""
    await worker.sem.acquire()
    worker.job_counter += 1
    worker._release_sem_dec_counter_on_complete()
    assert worker.job_counter == 0
    with pytest.raises(ValueError, match="too many times"):
        worker._release_sem_dec_counter_on_complete()


async def test_without_handle_signals_arq_handles_none(worker: ArqWorker, handled_signals: list[int]) -> None:
    """SIGTERM is the composition root's: arq would cancel the jobs it should let finish."""
    assert handled_signals == []
    Worker([func(_other, name="other")], redis_pool=ArqRedis(pool(_NOWHERE)), queue_name="other")
    assert handled_signals, "by default it does handle some"


async def test_arq_keeps_no_results_and_tries_nothing_again(worker: ArqWorker) -> None:
    """The log has the answer, and `take` counts the attempts."""
    assert (worker.keep_result_s, worker.keep_result_forever) == (0, False)
    assert not worker.retry_jobs
    assert not worker.log_results
    assert not worker.allow_abort_jobs


async def test_we_hide_nothing_of_arq(worker: ArqWorker) -> None:
    """A name of ours that arq uses as well would break it silently."""
    plain: Any = Worker(
        [func(_other, name="other")], redis_pool=ArqRedis(pool(_NOWHERE)), queue_name="other", handle_signals=False
    )
    of_class = {name for name in vars(ArqWorker) if not name.startswith("__")}
    of_instance = set(vars(worker)) - set(vars(plain))
    assert of_class & set(dir(plain)) == set()
    assert of_instance == {
        "_queue", "_deliver", "_under_way", "_blocking", "_claimed", "_may_claim", "_slot_freed", "_stopping",
    }  # fmt: skip
