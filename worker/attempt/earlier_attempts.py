"""Owns what earlier attempts left in the log: rounds of tool calls whose results are there.

A tool may have changed the world, so it is not run again because a worker died: a new attempt writes these rounds again
and continues after them. A round is kept once one of its results is in the log: results come after all calls of their
round, so the round is complete then. Knows nothing of tools.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from outlive.shared.log.reader import Logged, LogReader
from outlive.shared.model.codec import decode_output
from outlive.shared.model.events import Delta, EventType, Reasoning, Token, ToolCallDone, ToolResult, Turn, Whole
from outlive.worker.attempt.conversation import Round

_ATTEMPT = EventType.ATTEMPT.value.encode()


@dataclass(frozen=True, slots=True)
class KeptRound:
    """One round, and its events."""

    events: list[Delta | Whole]
    round: Round


@dataclass(slots=True)
class _Output:
    """One attempt's output as far as it is kept: up to its last result."""

    kept: list[Delta | Whole] = field(default_factory=list)
    rest: list[Delta | Whole] = field(default_factory=list)
    results: int = 0

    def add(self, event: Delta | Whole) -> None:
        self.rest.append(event)
        if isinstance(event, ToolResult):
            self.results += 1
            self.kept += self.rest
            self.rest.clear()


class EarlierAttempts:
    """Takes a log page by page and keeps the attempt that came furthest."""

    def __init__(self, epoch: int) -> None:
        """`epoch` is the new attempt's: events of lower epochs count."""
        self._epoch = epoch
        self._furthest = _Output()
        self._current = _Output()

    def add(self, page: Iterable[Logged]) -> None:
        """The next entries of the log."""
        for entry in page:
            if entry.cursor.epoch >= self._epoch:
                continue
            if entry.type == _ATTEMPT:
                self._end_attempt()
            elif (event := decode_output(entry.type, entry.data)) is not None:
                self._current.add(event)

    def rounds(self, is_repeatable: Callable[[str], bool]) -> list[KeptRound]:
        """The rounds to write again, oldest first. The last one lacks the results of repeatable tools: the model's
        answer to them is being forgotten, so there may be fresh ones."""
        self._end_attempt()
        *rounds, last = _split_rounds(self._furthest.kept) or [[]]
        if last:
            rounds.append([e for e in last if not (isinstance(e, ToolResult) and is_repeatable(e.name))])
        return [_kept_round(events) for events in rounds]

    def _end_attempt(self) -> None:
        # Not simply the latest: it may have died while it wrote the rounds of an earlier one again.
        if self._current.results and self._current.results >= self._furthest.results:
            self._furthest = self._current
        self._current = _Output()


async def read_earlier(reader: LogReader, generation_id: str, epoch: int) -> EarlierAttempts:
    """Read all attempts in the log below `epoch`. Raises `LogUnavailable`."""
    earlier = EarlierAttempts(epoch)
    async for page in reader.pages(generation_id):
        earlier.add(page)
    return earlier


def _split_rounds(events: Iterable[Delta | Whole]) -> list[list[Delta | Whole]]:
    """Cut after each round's results."""
    rounds: list[list[Delta | Whole]] = []
    before: Delta | Whole | None = None
    for event in events:
        if before is None or (isinstance(before, ToolResult) and not isinstance(event, ToolResult)):
            rounds.append([])
        rounds[-1].append(event)
        before = event
    return rounds


def _kept_round(events: list[Delta | Whole]) -> KeptRound:
    text = "".join(event.text for event in events if isinstance(event, Token))
    calls = [event for event in events if isinstance(event, ToolCallDone)]
    results = {event.id: event for event in events if isinstance(event, ToolResult)}
    reasoning = "".join(event.text for event in events if isinstance(event, Reasoning))
    provider = next((event.provider for event in events if isinstance(event, Turn)), None)
    return KeptRound(events, Round(text, calls, results, reasoning=reasoning, provider=provider))
