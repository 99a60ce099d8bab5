"""Owns the API's metrics, over all its processes. One of the three files that know Prometheus.

When several processes serve one port, each counts into its own files in a shared directory, and the process
that gets the request for `/metrics` adds them up. Nothing is counted per delivered event: viewers and feeds
are counted once a second, everything else once per viewer, request or probe.
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
"""prometheus_client's variable: when it is imported, it decides by it whether to count into files."""
_MEMORY: Final = "/dev/shm"  # noqa: S108 - a directory with a random name is made in it, for this user alone
_REFRESH_S: Final = 1.0


class Watched(NamedTuple):
    """The open viewers and feeds of one process."""

    viewers: int
    feeds: int


class ApiMetrics(Metrics):
    """The metrics of one API process; `run` updates its gauges."""

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
            viewers, feeds = watched()
            self._viewers.set(viewers)
            self._feeds.set(feeds)
            self.refresh()
            await asyncio.sleep(_REFRESH_S)

    def backlog(self, active: float = nan, queued: float = nan) -> None:
        """Counts of the whole fleet from Redis; without arguments when Redis does not answer."""
        self._active.set(active)
        self._queued.set(queued)

    def attached(self, behind: int) -> None:
        """A viewer came that was `behind` events behind."""
        self._catch_up.observe(behind)

    def detached(self, reason: str) -> None:
        """A viewer's response ended."""
        self._ended_viewers.labels(reason).inc()

    def lagged(self, events: int) -> None:
        """The feed that is furthest behind its log lacks this many events."""
        self._lag.set(events)

    def probed(self, took_s: float) -> None:
        """A probe's event reached the viewers' write queue."""
        self._append_to_viewer.observe(took_s)

    def refused(self, code: str) -> None:
        """A request got this problem as its response."""
        self._problems.labels(code).inc()

    def exposition(self) -> bytes:
        if self._shared is None:
            return super().exposition()
        self.refresh()
        remove_gauges_of_dead_processes(self._shared)
        # prometheus_client leaves these two without types.
        collector = MultiProcessCollector(None, self._shared)  # type: ignore[no-untyped-call]
        return generate_latest(cast(CollectorRegistry, collector))


@contextmanager
def shared_between_processes() -> Iterator[None]:
    """Processes that are started inside count into one directory. Raises `OSError`."""
    if _DIRECTORY in os.environ:
        yield
        return
    # In memory if possible: nobody needs these files later, and a container's file system may be read-only.
    directory = tempfile.mkdtemp(prefix="outlive-metrics-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)
    os.environ[_DIRECTORY] = directory
    try:
        yield
    finally:
        del os.environ[_DIRECTORY]
        shutil.rmtree(directory, ignore_errors=True)


def remove_gauges_of_dead_processes(directory: str) -> None:
    """Their viewers are gone; their counters still count."""
    # Not prometheus_client's mark_process_dead, which fails when two processes do this at the same time.
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
