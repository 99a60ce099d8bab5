"""How much of bodies one process holds: of one request, and of all."""

from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive, Scope, Send

from outlive.api.http.body_limit import BodiesInFlight, BodyLimit, release_body
from outlive.shared.errors import BodiesFull, PayloadTooLarge

pytestmark = pytest.mark.anyio

MAX_BYTES, HELD_BYTES = 100, 150


def scope_of(announced_bytes: int | None = None) -> Scope:
    headers = [] if announced_bytes is None else [(b"content-length", str(announced_bytes).encode())]
    return {"type": "http", "method": "POST", "headers": headers}


class Client:
    """A client that sends these parts, and counts how many were asked for."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = list(parts)
        self.received = 0

    async def receive(self) -> Message:
        self.received += 1
        return {"type": "http.request", "body": self._parts.pop(0), "more_body": bool(self._parts)}


async def _send(message: Message) -> None:
    raise AssertionError("nothing is sent here")


async def _read(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass


async def _post(in_flight: BodiesInFlight, client: Client, announced_bytes: int | None = None) -> None:
    await BodyLimit(_read, MAX_BYTES, in_flight)(scope_of(announced_bytes), client.receive, _send)


@pytest.mark.rule("R81")
async def test_what_is_received_is_counted_until_the_request_ends() -> None:
    """However it ends."""
    in_flight, seen = BodiesInFlight(HELD_BYTES), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _read(scope, receive, send)
        seen.append(in_flight.held_bytes)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await BodyLimit(app, MAX_BYTES, in_flight)(scope_of(), Client([b"x" * 40, b"y" * 50]).receive, _send)
    assert (seen, in_flight.held_bytes) == ([90], 0)


@pytest.mark.rule("R81")
async def test_a_body_that_does_not_fit_is_refused_before_it_is_read() -> None:
    """Others go on; when they have ended, it fits."""
    in_flight = BodiesInFlight(HELD_BYTES)
    in_flight.held_bytes = 100
    client = Client([b"x" * 60])
    with pytest.raises(BodiesFull) as refused:
        await _post(in_flight, client, 60)
    assert (refused.value.code, client.received, in_flight.held_bytes) == ("capacity", 0, 100)
    assert int(refused.value.headers["Retry-After"]) > 0
    in_flight.held_bytes = 0
    await _post(in_flight, client, 60)


@pytest.mark.rule("R81")
async def test_a_body_of_unknown_length_is_refused_where_it_would_not_fit() -> None:
    """And what was held of it is given back."""
    in_flight = BodiesInFlight(HELD_BYTES)
    in_flight.held_bytes = 100
    with pytest.raises(BodiesFull):
        await _post(in_flight, Client([b"x" * 40, b"x" * 40]))
    assert in_flight.held_bytes == 100


@pytest.mark.rule("R81")
async def test_what_is_announced_and_never_sent_shuts_out_nobody() -> None:
    """Only received bytes count."""
    in_flight, other = BodiesInFlight(HELD_BYTES), Client([b"x" * 90])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await _post(in_flight, other, 90)

    await BodyLimit(app, MAX_BYTES, in_flight)(scope_of(100), Client([b""]).receive, _send)
    assert other.received == 1


@pytest.mark.rule("R81")
async def test_a_request_that_waits_may_let_go_of_its_body() -> None:
    """Once; the end of the request gives nothing back a second time."""
    in_flight = BodiesInFlight(HELD_BYTES)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _read(scope, receive, send)
        release_body(scope)
        assert in_flight.held_bytes == 7

    in_flight.held_bytes = 7
    await BodyLimit(app, MAX_BYTES, in_flight)(scope_of(), Client([b"x" * 90]).receive, _send)
    assert in_flight.held_bytes == 7


@pytest.mark.rule("R59")
@pytest.mark.parametrize("announced_bytes", [None, 101])
async def test_one_body_has_a_limit_of_its_own(announced_bytes: int | None) -> None:
    """With or without a Content-Length."""
    with pytest.raises(PayloadTooLarge):
        await _post(BodiesInFlight(HELD_BYTES), Client([b"x" * 60, b"x" * 41]), announced_bytes)
