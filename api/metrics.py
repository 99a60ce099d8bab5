"""Owns what the API measures of itself, over all its processes. One of the rooms that know Prometheus.

Of several processes on one port each counts into files of its own, in a directory they share, and
whichever is asked adds them up. Nothing is counted per delivered event: viewers and feeds are looked
at once a second, the rest is told once per viewer, request or probe.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import nan
from pathlib import Path
from typing import Final, NamedTuple, cast

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from outlive.shared.telemetry.metrics import EVENTS, ROUNDS_S, Metrics

_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's own word: it decides by it, when it is imported, whether to count into files."""
_MEMORY: Final = "/dev/shm"  # noqa: S108 - a directory with a random name is made in it, for this user alone
_REFRESH_S: Final = 1.0


class Watched(NamedTuple):
    """What one process has open now."""

    viewers: int
    feeds: int


class ApiMetrics(Metrics):
    """One API process's; `run` keeps its gauges true."""

    def __init__(self) -> None:
        super().__init__()
        self._shared = os.environ.get(_DIRECTORY)
        if self._shared is None:
            ProcessCollector(registry=self.registry)
            GCCollector(registry=self.registry)
        self._viewers = self.gauge("viewers", "Open SSE and WebSocket responses.")
        self._feeds = self.gauge("feeds", "Watched generations whose log is held in memory.")
        self._active = self.gauge(
            "active_generations", "Generations queued or running, of the whole fleet.", mode="livemostrecent"
        )
        self._queued = self.gauge(
            "queued_deliveries", "Deliveries no worker has claimed yet, of the whole fleet.", mode="livemostrecent"
        )
        self._catch_up = self.histogram("catch_up_events", "Events a viewer was behind when it came.", EVENTS)
        self._ended_viewers = self.counter("viewers_ended", "Viewers' responses that ended, by reason.", "reason")
        self._append_to_viewer = self.histogram(
            "append_to_viewer_seconds",
            "From an append to the loop turn that writes it to viewers, by a probe.",
            ROUNDS_S,
        )
        self._lag = self.gauge("reader_lag_events", "Events the feed that is furthest behind lacks.", mode="livemax")
        self._problems = self.counter("problems", "Requests answered with a problem, by its code.", "code")

    async def run(self, watched: Callable[[], Watched]) -> None:
        """Until cancelled."""
        while True:
            now = watched()
            self._viewers.set(now.viewers)
            self._feeds.set(now.feeds)
            self.refresh()
            await asyncio.sleep(_REFRESH_S)

    def backlog(self, active: float = nan, queued: float = nan) -> None:
        """What Redis says of the fleet; nothing when it does not answer."""
        self._active.set(active)
        self._queued.set(queued)

    def attached(self, behind: int) -> None:
        """A viewer came that was so many events behind."""
        self._catch_up.observe(behind)

    def detached(self, reason: str) -> None:
        """A viewer's response ended."""
        self._ended_viewers.labels(reason).inc()

    def lagged(self, events: int) -> None:
        """The feed that is furthest behind its log lacks so many."""
        self._lag.set(events)

    def probed(self, took_s: float) -> None:
        """A probe came through."""
        self._append_to_viewer.observe(took_s)

    def refused(self, code: str) -> None:
        """A request was answered with this problem."""
        self._problems.labels(code).inc()

    def exposition(self) -> bytes:
        if self._shared is None:
            return super().exposition()
        self.refresh()
        bury(self._shared)
        # prometheus_client leaves these two without types.
        collector = MultiProcessCollector(None, self._shared)  # type: ignore[no-untyped-call]
        return generate_latest(cast(CollectorRegistry, collector))


@contextmanager
def shared_between_processes() -> Iterator[None]:
    """Inside, processes that are started count into one directory. Raises `OSError`."""
    if _DIRECTORY in os.environ:
        yield
        return
    # In memory where there is such a place: nobody needs these files after us, and a container's own
    # file system may be read-only.
    directory = tempfile.mkdtemp(prefix="outlive-metrics-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)
    os.environ[_DIRECTORY] = directory
    try:
        yield
    finally:
        del os.environ[_DIRECTORY]
        shutil.rmtree(directory, ignore_errors=True)


def bury(directory: str) -> None:
    """The gauges of processes that are no more: nobody watches there. Their counters still count."""
    # Not prometheus_client's mark_process_dead: it fails when two processes are asked at one time and
    # the other has buried already.
    for file in Path(directory).glob("gauge_live*_*.db"):
        if not _lives(int(file.stem.rpartition("_")[2])):
            file.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
