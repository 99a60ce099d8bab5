"""Whether a request is served and a generation begun, by counts that are handed in."""

from dataclasses import dataclass, field

import pytest

from outlive.api.limits.admission import Admission, ratelimit_headers
from outlive.shared.errors import AtCapacity, TooManyRequests
from outlive.shared.model.generation import NewGeneration
from outlive.shared.queue.quota import Rate, Reservation, TenantLimits, Wanted
from outlive.shared.settings import load
from tests.support.ids import fresh_id

pytestmark = pytest.mark.anyio

LIMITS = {
    "OUTLIVE_TENANT_REQUESTS": "3",
    "OUTLIVE_MAX_QUEUED": "2",
    "OUTLIVE_TENANT_GENERATIONS": "7",
    "OUTLIVE_TENANT_STORED_BYTES": "30000000",
}


def new() -> NewGeneration:
    return NewGeneration(fresh_id(), "acme", "m", b"{}", b"{}", "", 1, "restart", deadline_s=60.0, retention_s=60.0)


@dataclass
class Counts:
    """What a Redis would count."""

    reservation: Reservation = Reservation.NEW
    requests: dict[str, int] = field(default_factory=dict)
    reserved: list[tuple[Wanted, TenantLimits]] = field(default_factory=list)
    has_memory: bool = True
    queued: int = 0

    async def reserve(self, wanted: Wanted, limits: TenantLimits) -> Reservation:
        self.reserved.append((wanted, limits))
        return self.reservation

    async def waiting(self) -> int:
        return self.queued

    async def count_request(self, subject: str) -> Rate:
        self.requests[subject] = self.requests.get(subject, 0) + 1
        return Rate(self.requests[subject], 12.3)

    async def memory(self) -> bool:
        return self.has_memory

    def admission(self, auth: bool) -> Admission:
        settings = load(LIMITS | {"OUTLIVE_AUTH": str(auth).lower()})
        return Admission(settings, self, self.memory, clock=lambda: 0.0)


@pytest.mark.rule("R56")
async def test_requests_are_counted_by_subject_up_to_the_limit() -> None:
    """And the headers say how many are left, on the refusal as well."""
    admission = Counts().admission(auth=True)
    left = [(await admission.count_request("acme"))["RateLimit"] for _ in range(3)]
    assert left == [f'"requests";r={n};t=13' for n in (2, 1, 0)]
    with pytest.raises(TooManyRequests) as refused:
        await admission.count_request("acme")
    assert refused.value.headers["Retry-After"] == "13"
    assert refused.value.headers["RateLimit"] == '"requests";r=0;t=13'
    await admission.count_request("other")


async def test_without_auth_no_request_is_counted() -> None:
    """There is one tenant, and nobody to protect from it."""
    counts = Counts()
    admission = counts.admission(auth=False)
    assert [await admission.count_request("default") for _ in range(10)] == [{}] * 10
    assert counts.requests == {}


@pytest.mark.rule("R57")
@pytest.mark.parametrize("auth", [False, True])
async def test_without_memory_nothing_is_begun(auth: bool) -> None:
    """And nothing is reserved."""
    counts = Counts(has_memory=False)
    with pytest.raises(AtCapacity):
        await counts.admission(auth).reserve(new())
    assert counts.reserved == []


@pytest.mark.rule("R55")
async def test_a_tenants_reservation_is_asked_for_with_its_limits() -> None:
    """FULL and STORED are for the caller to refuse, because what exists already is still answered."""
    wanted = new()
    for reservation in (Reservation.NEW, Reservation.HELD, Reservation.FULL, Reservation.STORED):
        counts = Counts(reservation)
        assert await counts.admission(auth=True).reserve(wanted) is reservation
        limits = TenantLimits(generations=7, stored_bytes=30_000_000, waiting=2)
        assert counts.reserved == [(Wanted(wanted.id, "acme", 60.0, 60.0, 4), limits)]


@pytest.mark.rule("R57")
async def test_a_full_queue_refuses_everybody() -> None:
    """With auth the script says so, in the same step; without, the count does."""
    with pytest.raises(AtCapacity):
        await Counts(Reservation.BACKLOG).admission(auth=True).reserve(new())
    without = Counts(queued=1).admission(auth=False)
    assert await without.reserve(new()) is Reservation.HELD
    with pytest.raises(AtCapacity):
        await Counts(queued=2).admission(auth=False).reserve(new())


def test_no_header_counts_below_zero() -> None:
    """Several processes may count beyond the limit at once."""
    assert ratelimit_headers(Rate(9, 0.2), 3)["RateLimit"] == '"requests";r=0;t=1'


def test_a_full_tenant_is_told_when_to_come_again() -> None:
    """In seconds, as answers take."""
    admission = Counts().admission(auth=True)
    refusal = admission.tenant_full(Reservation.FULL)
    assert (refusal.code, refusal.headers["Retry-After"]) == ("too_many_generations", "2")


@pytest.mark.rule("R82")
def test_a_tenant_that_stores_too_much_is_told_when_to_come_again() -> None:
    """In a minute: what it stores expires with its retention."""
    refusal = Counts().admission(auth=True).tenant_full(Reservation.STORED)
    assert (refusal.code, refusal.headers["Retry-After"]) == ("too_much_stored", "60")
