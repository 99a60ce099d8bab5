"""Owns one attempt: turns of the model and rounds of tools, until a last event is written.

The attempt asks the model, runs the calls that the model makes of tools offered by the request, shows the model their
results and asks again, until the model answers. It decides what an end means: only a `finish_reason` makes `completed`
(R13). Knows neither Redis nor the SDK.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from outlive.shared.errors import UpstreamError, UpstreamRefused
from outlive.shared.model.events import (
    Completed,
    Delta,
    Failed,
    Terminal,
    ToolCall,
    ToolCallDone,
    ToolResult,
    Turn,
    Usage,
    Whole,
)
from outlive.shared.model.usage import estimate_prompt, estimated, total
from outlive.worker.attempt.conversation import Conversation, Round
from outlive.worker.attempt.earlier_attempts import EarlierAttempts
from outlive.worker.attempt.model import Model, Upstream
from outlive.worker.attempt.model_turn import ModelTurn
from outlive.worker.attempt.retry import Unanswered
from outlive.worker.attempt.tool_calls import ToolCalls
from outlive.worker.json_stream.json_stream import JsonStream
from outlive.worker.publishing.outbox import OutputTooLarge
from outlive.worker.publishing.publication import Publication
from outlive.worker.tools.tool_modules import offer, tool_names
from outlive.worker.tools.toolbox import Toolbox

_LETTER: Final = 0.25
_CUT: Final = frozenset({"length", "content_filter"})
"""After these finish reasons a call may lack its last piece. OpenAI sends `stop` for calls that the request forced, and
compatible servers use words of their own; so after any other reason calls are complete."""


class Attempt:
    """One worker's try at one generation."""

    def __init__(
        self,
        request: dict[str, Any],
        publication: Publication,
        model: Model,
        toolbox: Toolbox,
        read_earlier: Callable[[], Awaitable[EarlierAttempts]],
    ) -> None:
        """`read_earlier` reads what earlier attempts left in the log."""
        self._request, self._offered = offer(request, toolbox.registry)
        self._publication = publication
        self._json = JsonStream(publication, self._request, model.timers)
        self._model = model
        self._toolbox = toolbox
        self._read_earlier = read_earlier
        self._calls = ToolCalls(tool_names(self._request))
        self._turns: list[ModelTurn] = []
        self._repeated: list[Usage] = []
        """Of the rounds of earlier attempts that this one has written again."""
        self._tokens = 0.0
        """Output so far, at least: see `_emit`."""

    async def run(self) -> None:
        """Write the whole answer. Raises `Interrupted` when the upstream broke off in a way that another attempt may
        mend, `OwnershipLost` when this worker may not write to the log any more.

        The upstream's socket is closed before the last event is waited for: a client that sees that event knows that
        nothing is being paid for any more.
        """
        await self._publication.close(await self._terminal())

    def failed_by(self, error: UpstreamError) -> Failed:
        """The last event for this error, with this attempt's totals."""
        return self.failed(error.failed_code, error.message, retryable=error.retryable)

    def failed(self, code: str, message: str, *, retryable: bool) -> Failed:
        """The last event for a failure, with this attempt's totals."""
        return Failed(code, message, retryable, self._usage(), *self._publication.totals())

    async def _terminal(self) -> Terminal:
        try:
            async with asyncio.timeout(self._remaining_s()) as deadline:
                return await self._converse()
        except TimeoutError:
            if not deadline.expired():
                raise
            return self.failed("deadline_exceeded", "The answer took longer than its deadline allows.", retryable=True)
        except OutputTooLarge:
            return self.failed("output_too_large", "The answer is larger than this server allows.", retryable=False)
        except Unanswered as error:
            return self.failed_by(error.cause)
        except UpstreamRefused as error:
            return self.failed_by(error)
        finally:
            self._json.stop()

    async def _converse(self) -> Terminal:
        conversation = Conversation(self._request)
        upstreams = self._model.choose_upstreams(self._request)
        unfinished = await self._repeat_earlier(conversation) if self._offered else None
        while True:
            latest = unfinished or await self._ask(upstreams, conversation.request)
            unfinished = None
            due = [call for call in latest.without_result if call.name in self._offered]
            if due and conversation.rounds >= self._toolbox.limits.rounds:
                return self.failed("too_many_rounds", "The model called tools too often.", retryable=False)
            if due:
                latest = replace(latest, results=latest.results | await self._run_tools(due))
            if latest.without_result:
                # The caller runs these calls, whatever else was run beside them.
                return await self._completed("tool_calls")
            if not latest.calls:
                return await self._completed(latest.finish_reason)
            conversation.add(latest)

    async def _ask(self, upstreams: Sequence[Upstream], request: dict[str, Any]) -> Round:
        # A provider also counts tokens that it does not show, such as its reasoning.
        if sum(turn.usage.completion_tokens for turn in self._turns if turn.usage) >= upstreams[0].max_output_tokens:
            raise OutputTooLarge
        turn = ModelTurn(request, self._model, self._calls, self._emit, tokens_before=self._publication.output_tokens)
        self._turns.append(turn)
        await turn.run(upstreams, self._remaining_s)
        is_cut = turn.finish_reason in _CUT
        for piece in [] if is_cut else self._calls.complete_arguments():
            await self._emit(piece)
        calls = self._calls.end_round()
        if is_cut:
            calls = []
        for call in calls:
            await self._emit(call)
        await self._emit(self._turn_event(turn))
        return Round(turn.text, calls, {}, turn.finish_reason, turn.reasoning, turn.provider())

    def _turn_event(self, turn: ModelTurn) -> Turn:
        assert turn.upstream is not None
        tokens = self._publication.output_tokens
        usage = turn.usage or estimated(estimate_prompt(turn.request), tokens - turn.tokens_before)
        chars, _ = self._publication.totals()
        return Turn(turn.upstream.name, turn.served_model, usage, chars, tokens, turn.provider())

    async def _run_tools(self, due: Sequence[ToolCallDone]) -> dict[str, ToolResult]:
        # Calls are in the log before they are run, so a worker that lost its ownership learns it here; results are
        # there before the model sees them, so no later attempt has to guess.
        await self._publication.wait_until_acknowledged()
        results = await self._toolbox.run(due, self._offered, self._emit)
        await self._publication.wait_until_acknowledged()
        return results

    async def _repeat_earlier(self, conversation: Conversation) -> Round | None:
        """Write the rounds of earlier attempts again, and return the last: some of its calls may be due."""
        if self._publication.taken.attempt == 1:
            return None
        earlier = await self._read_earlier()
        kept = earlier.rounds(lambda name: name in self._offered and self._offered[name].options.repeatable)
        for each in kept:
            for event in each.events:
                if isinstance(event, ToolCallDone):
                    self._calls.reserve(event)
                elif isinstance(event, Turn):
                    self._repeated.append(event.usage)
                await self._emit(event)
        for each in kept[:-1]:
            conversation.add(each.round)
        return kept[-1].round if kept else None

    async def _emit(self, event: Delta | Whole) -> None:
        """Everything an answer consists of goes out here, as soon as the outbox has room."""
        if isinstance(event, ToolCallDone):
            await self._json.end_call(event)
        elif isinstance(event, Delta):
            self._count(event)
        if self._publication.is_full:
            await self._publication.wait_for_room()
        self._publication.add(event)
        if isinstance(event, Delta):
            self._json.take(event)

    def _count(self, piece: Delta) -> None:
        """Raises `OutputTooLarge`. A piece is at least one token; gateways that smooth a stream send single letters, of
        which four count as one. The estimate of `usage.py` would often be over the number that the caller was allowed
        to ask for, although the answer keeps to it."""
        text = piece.arguments if isinstance(piece, ToolCall) else piece.text
        self._tokens += _LETTER if len(text) == 1 else 1
        upstream = self._turns[-1].upstream if self._turns else None
        if upstream is not None and self._tokens > upstream.max_output_tokens:
            raise OutputTooLarge

    async def _completed(self, finish_reason: str) -> Completed:
        violations = await self._json.end()
        return Completed(finish_reason, self._usage(), *self._publication.totals(), violations)

    def _usage(self) -> Usage:
        """The sum of all turns; where a provider did not count a turn, our estimate for it."""
        if not self._turns:
            return total(self._repeated) if self._repeated else estimated(estimate_prompt(self._request), 0)
        ends = [*(turn.tokens_before for turn in self._turns[1:]), self._publication.output_tokens]
        own = (
            turn.usage or estimated(estimate_prompt(turn.request), end - turn.tokens_before)
            for turn, end in zip(self._turns, ends, strict=True)
        )
        return total([*self._repeated, *own])

    def _remaining_s(self) -> float:
        return self._publication.remaining_s
