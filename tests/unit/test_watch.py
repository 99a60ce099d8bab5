"""Whether a viewer may watch, step by step: the same for every way in."""

from dataclasses import dataclass, field, replace

import pytest
from starlette.types import Message

from outlive.api.auth.credentials import Caller
from outlive.api.fanout.ending import Ending
from outlive.api.fanout.sink import SendSink, Sink
from outlive.api.fanout.viewer import Viewer
from outlive.api.formats.format import Format, FrameNumber, ResumePoint
from outlive.api.formats.native import NATIVE
from outlive.api.generations.generations import Creation
from outlive.api.generations.watch import Ticket, Watch
from outlive.api.limits.viewer_limits import ViewerLimits
from outlive.shared.errors import (
    GenerationGone,
    GenerationNotFound,
    LogUnavailable,
    MalformedCursor,
    OutliveError,
    ProcessFull,
    TooManyViewers,
)
from outlive.shared.log.reader import shown_to
from outlive.shared.model.cursor import Cursor
from outlive.shared.model.generation import Meta, NewGeneration, Status

pytestmark = [pytest.mark.anyio, pytest.mark.rule("R58")]

ID, END = "gen_0192f0c1d2e37000a1b2c3d4e5f60718", Cursor(7, 9)
ACME, OTHER = Caller("acme"), Caller("other")
HERE = "10.0.0.1"
CLOSED = Meta("acme", Status.COMPLETED, "m", END, 1, END, b"{}", 1.0, 1.0, 2.0)
NEW = NewGeneration(ID, "acme", "m", b"{}", b"{}", "", 1, "restart", 60.0, 60.0)


@dataclass
class World:
    """Redis, as far as a watch asks it, and what was asked."""

    per_process: int = 10
    per_generation: int = 10
    per_address: int | None = 10
    meta: Meta | str | None = CLOSED
    fault: OutliveError | None = None
    read: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits = ViewerLimits(
            per_process=self.per_process, per_generation=self.per_generation, per_address=self.per_address
        )
        self.limits = limits
        self.watch = Watch(self, limits, self.read_meta, self.create)

    async def read_meta(self, generation_id: str, tenant: str) -> Meta:
        self.read.append(generation_id)
        if self.fault is not None:
            raise self.fault
        return shown_to(tenant, self.meta)

    async def create(self, new: NewGeneration) -> Creation:
        if self.fault is not None:
            raise self.fault
        self.created.append(new.id)
        return Creation(new, "queued", 1.0, is_new=True)

    # The hub's part.

    def retry_s(self) -> float:
        return 1.5

    async def attach(self, generation_id: str, after: ResumePoint, sink: Sink, wire: Format) -> Viewer:
        raise LogUnavailable

    async def wait_for_end(self, generation_id: str) -> Ending:
        raise LogUnavailable

    def detach(self, viewer: Viewer, *, has_stalled: bool = False) -> None:
        raise AssertionError("nobody is attached")

    async def open(
        self, after: str | FrameNumber | None = None, caller: Caller = ACME, name: str = ID
    ) -> Ticket | None:
        return await self.watch.open(caller, name, after, NATIVE, HERE)

    @property
    def counted(self) -> int:
        return self.limits._viewers


async def _nowhere(_: Message) -> None:
    """Nothing is kept."""


@pytest.mark.parametrize("after", [None, "", "0", "7-8", FrameNumber(3), FrameNumber(0)])
async def test_whoever_lacks_something_gets_a_ticket(after: str | FrameNumber | None) -> None:
    """It counts until the viewer is gone, however often that is noticed."""
    world = World()
    ticket = await world.open(after)
    assert ticket is not None
    assert (ticket.generation_id, ticket.opening(), world.counted) == (ID, b"retry: 1500\n\n", 1)
    for _ in range(2):
        assert not ticket.detach()
        assert world.counted == 0


@pytest.mark.rule("R20")
async def test_at_the_terminal_there_is_nothing_more() -> None:
    """And nobody is counted, however full it is."""
    world = World(per_generation=1)
    await world.open()
    assert await world.open(str(END)) is None
    assert world.counted == 1


@pytest.mark.rule("R20", "R47")
@pytest.mark.parametrize(
    ("meta", "caller", "refusal"),
    [
        (None, ACME, GenerationNotFound),
        (CLOSED, OTHER, GenerationNotFound),
        ("acme", ACME, GenerationGone),
        ("acme", OTHER, GenerationNotFound),
    ],
)
async def test_what_is_not_there_is_refused(
    meta: Meta | str | None, caller: Caller, refusal: type[OutliveError]
) -> None:
    """What is another's looks as if it were not there."""
    world = World(meta=meta)
    with pytest.raises(refusal):
        await world.open(caller=caller)
    assert world.counted == 0


async def test_how_many_watch_is_not_told_to_other_tenants() -> None:
    """A full generation of another tenant is as unknown as any."""
    world = World(per_generation=1)
    await world.open()
    with pytest.raises(GenerationNotFound):
        await world.open(caller=OTHER)


@pytest.mark.parametrize(
    ("name", "after", "refusal"),
    [("x", None, GenerationNotFound), (ID, "$", MalformedCursor), (ID, "01-0", MalformedCursor)],
    # The id is another one in every process, and pytest-xdist needs the same names in all of them.
    ids=["no_id", "no_cursor", "leading_zero"],
)
async def test_nonsense_costs_redis_nothing(name: str, after: str | None, refusal: type[OutliveError]) -> None:
    """Neither an id nor a cursor that cannot be one."""
    world = World()
    with pytest.raises(refusal):
        await world.open(after, name=name)
    assert world.read == []


async def test_a_full_process_costs_redis_nothing() -> None:
    """Or a storm on it would be one on Redis."""
    world = World(per_process=1)
    await world.open()
    with pytest.raises(ProcessFull):
        await world.open()
    assert world.read == [ID]


@pytest.mark.parametrize("world", [World(per_generation=1), World(per_address=1)])
async def test_a_full_generation_or_address_takes_no_more(world: World) -> None:
    """Until one leaves."""
    ticket = await world.open()
    with pytest.raises(TooManyViewers):
        await world.open()
    assert ticket is not None
    ticket.detach()
    assert await world.open() is not None


async def test_while_redis_is_away_nobody_is_counted() -> None:
    """Or a process would be full when it is back."""
    world = World(fault=LogUnavailable())
    with pytest.raises(LogUnavailable):
        await world.open()
    assert world.counted == 0


async def test_a_ticket_whose_viewer_cannot_be_attached_is_void() -> None:
    """Nothing has to be given back by hand."""
    world = World()
    ticket = await world.open()
    assert ticket is not None
    with pytest.raises(LogUnavailable):
        await ticket.attach(SendSink(_nowhere))
    assert world.counted == 0


async def test_what_is_created_to_be_watched_may_be_watched() -> None:
    """From its first event on."""
    world = World()
    creation, ticket = await world.watch.create(NEW, NATIVE, HERE)
    assert (creation.new, ticket.generation_id, world.counted) == (NEW, ID, 1)


@pytest.mark.parametrize(
    ("world", "refusal"),
    [
        (World(per_process=1), ProcessFull),
        (World(per_generation=1), TooManyViewers),
        (World(per_address=1), TooManyViewers),
    ],
)
async def test_nothing_is_created_for_a_viewer_that_may_not_watch(world: World, refusal: type[OutliveError]) -> None:
    """It would be paid for, and asked for again."""
    await world.open()
    with pytest.raises(refusal):
        await world.watch.create(replace(NEW), NATIVE, HERE)
    assert world.created == []


async def test_what_cannot_be_created_counts_nobody() -> None:
    """Whatever the reason."""
    world = World(fault=LogUnavailable())
    with pytest.raises(LogUnavailable):
        await world.watch.create(NEW, NATIVE, HERE)
    assert world.counted == 0
