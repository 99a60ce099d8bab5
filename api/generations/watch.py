"""Owns whether a viewer may watch a generation now: the same steps and limits for every way in.

The ways in are GET events, POST as a stream, the WebSocket, the streams of both OpenAI wires, and requests
that wait for a whole answer. All of it is decided before anything is created or sent. Knows nothing of HTTP:
each route maps the exceptions to the refusal its clients understand.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from outlive.api.auth.credentials import Caller
from outlive.api.fanout.ending import Ending
from outlive.api.fanout.sink import Sink
from outlive.api.fanout.viewer import Viewer
from outlive.api.formats.format import Format, FrameNumber, ResumePoint
from outlive.api.generations.generations import Creation
from outlive.api.limits.viewer_limits import Release, ViewerLimits
from outlive.shared.errors import GenerationNotFound
from outlive.shared.model.cursor import Cursor
from outlive.shared.model.generation import Meta, NewGeneration, is_id

ReadMeta = Callable[[str, str], Awaitable[Meta]]
"""A generation's meta, for its id and a tenant; see `SingleFlightMeta.meta`."""
CreateGeneration = Callable[[NewGeneration], Awaitable[Creation]]
"""See `Generations.create`."""


class Attacher(Protocol):
    """The part of the hub that a ticket uses."""

    def retry_s(self) -> float: ...

    async def attach(self, generation_id: str, after: ResumePoint, sink: Sink, wire: Format) -> Viewer: ...

    async def wait_for_end(self, generation_id: str) -> Ending: ...

    def detach(self, viewer: Viewer, *, has_stalled: bool = False) -> None: ...


class Ticket:
    """The right of one viewer to watch one generation; it counts in the limits until `detach`."""

    __slots__ = ("_after", "_hub", "_release", "_viewer", "format", "generation_id")

    def __init__(self, hub: Attacher, generation_id: str, after: ResumePoint, shape: Format, release: Release) -> None:
        self.generation_id = generation_id
        self.format = shape
        self._hub = hub
        self._after = after
        self._release = release
        self._viewer: Viewer | None = None

    def opening(self) -> bytes:
        """The first bytes of the response: proxies and clients see an open stream before there is an event."""
        return self.format.opening(self._hub.retry_s())

    def farewell(self) -> bytes:
        """The last bytes of a response that ends before the answer does."""
        return self.format.farewell(self._hub.retry_s())

    async def attach(self, sink: Sink) -> None:
        """Write the events after the resume point to `sink`, now and as they come. When it raises, the ticket is
        detached. Raises `LogUnavailable` and `GenerationGone`."""
        try:
            self._viewer = await self._hub.attach(self.generation_id, self._after, sink, self.format)
        except BaseException:
            self.detach()
            raise

    async def wait_for_end(self) -> Ending:
        """Until the answer has ended, and nothing of it is sent; the ticket is detached then. Raises as `attach`
        does."""
        try:
            return await self._hub.wait_for_end(self.generation_id)
        finally:
            self.detach()

    def detach(self, *, has_stalled: bool = False) -> bool:
        """The viewer is gone; may be called again. Returns whether the viewer had got everything."""
        self._release()
        viewer, self._viewer = self._viewer, None
        if viewer is None:
            return False
        had_everything = viewer.ended
        self._hub.detach(viewer, has_stalled=has_stalled)
        return had_everything


class Watch:
    """One per process."""

    def __init__(
        self, hub: Attacher, limits: ViewerLimits, read_meta: ReadMeta, create_generation: CreateGeneration
    ) -> None:
        self._hub = hub
        self._limits = limits
        self._read_meta = read_meta
        self._create_generation = create_generation

    async def open(
        self, caller: Caller, generation_id: str, after: FrameNumber | str | None, shape: Format, address: str
    ) -> Ticket | None:
        """A ticket for a generation that exists; None if the viewer has the terminal already. `after` is the
        cursor as the client sent it, or a frame number. `address` is the viewer's, from `client_address`.

        Raises `GenerationNotFound` (unknown, or another tenant's), `GenerationGone`, `MalformedCursor`,
        `ProcessFull`, `TooManyViewers` and `LogUnavailable`."""
        if not is_id(generation_id):
            raise GenerationNotFound
        point = after if isinstance(after, FrameNumber) else Cursor.parse_resume(after)
        # First, because a full process should not cost Redis anything.
        self._limits.check_process()
        meta = await self._read_meta(generation_id, caller.tenant)
        if meta.terminal is not None and point == meta.terminal:
            return None
        # After the tenant was compared: other tenants must not learn how many watch.
        return Ticket(self._hub, generation_id, point, shape, self._limits.acquire(generation_id, address))

    async def create(self, new: NewGeneration, shape: Format, address: str) -> tuple[Creation, Ticket]:
        """Create a generation and a ticket for it from its first event on. When the limits refuse the viewer,
        nothing is created.

        Raises `ProcessFull` and `TooManyViewers`, and what `Generations.create` raises."""
        ticket = Ticket(self._hub, new.id, shape.start, shape, self._limits.acquire(new.id, address))
        try:
            return await self._create_generation(new), ticket
        except BaseException:
            ticket.detach()
            raise
