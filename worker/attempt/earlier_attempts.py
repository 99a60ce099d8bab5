"""Owns what former attempts left in the log: rounds of tool calls whose results are there.

A tool may have changed the world, so it is not run again because a worker died: a new attempt tells
these rounds again and goes on behind them. A round is kept once one of its results is in the log:
results come after all calls of their round, so then the round is whole. Knows nothing of tools.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from outlive.shared.log.reader import Logged, LogReader
from outlive.shared.model.codec import decode_output
from outlive.shared.model.events import Delta, EventType, Token, ToolCallDone, ToolResult, Whole
from outlive.worker.attempt.conversation import Round

_ATTEMPT = EventType.ATTEMPT.value.encode()


@dataclass(frozen=True, slots=True)
class KeptRound:
    """One round, and the events that told it."""

    events: list[Delta | Whole]
    round: Round


@dataclass(slots=True)
class _Story:
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
        """`epoch` is the new attempt's: what was said before it counts."""
        self._epoch = epoch
        self._furthest = _Story()
        self._current = _Story()

    def add(self, page: Iterable[Logged]) -> None:
        """The next entries of the log."""
        for entry in page:
            if entry.cursor.epoch >= self._epoch:
                continue
            if entry.type == _ATTEMPT:
                self._settle()
            elif (event := decode_output(entry.type, entry.data)) is not None:
                self._current.add(event)

    def rounds(self, is_repeatable: Callable[[str], bool]) -> list[KeptRound]:
        """The rounds to tell again, oldest first. In the last one results of repeatable tools are
        left out: the model's answer to them is being forgotten, so fresh ones may come."""
        self._settle()
        told = [_told(events) for events in _turns(self._furthest.kept)]
        if told:
            told[-1] = _told([e for e in told[-1].events if not (isinstance(e, ToolResult) and is_repeatable(e.name))])
        return told

    def _settle(self) -> None:
        # Not simply the latest: it may have died while it told the one before it again.
        if self._current.results and self._current.results >= self._furthest.results:
            self._furthest = self._current
        self._current = _Story()


async def read_former(reader: LogReader, generation_id: str, epoch: int) -> EarlierAttempts:
    """Read the whole log below `epoch`, all former attempts. Raises `LogUnavailable`."""
    former = EarlierAttempts(epoch)
    async for page in reader.pages(generation_id):
        former.add(page)
    return former


def _turns(events: Iterable[Delta | Whole]) -> list[list[Delta | Whole]]:
    """Cut behind each round's results."""
    turns: list[list[Delta | Whole]] = []
    before: Delta | Whole | None = None
    for event in events:
        if before is None or (isinstance(before, ToolResult) and not isinstance(event, ToolResult)):
            turns.append([])
        turns[-1].append(event)
        before = event
    return turns


def _told(events: list[Delta | Whole]) -> KeptRound:
    text = "".join(event.text for event in events if isinstance(event, Token))
    calls = [event for event in events if isinstance(event, ToolCallDone)]
    results = {event.id: event for event in events if isinstance(event, ToolResult)}
    return KeptRound(events, Round(text, calls, results))
