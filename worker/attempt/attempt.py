"""Owns one attempt: turns of the model and rounds of tools, until a last event is written.

The model is asked; the calls it makes are run if the request offers tools of ours for them; it is
shown their results and asked again, until it answers. Decides what an end means: only a
`finish_reason` makes `completed` (R13). Knows neither Redis nor the SDK.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from outlive.shared.errors import UpstreamError, UpstreamRefused
from outlive.shared.model.events import Completed, Delta, Failed, Terminal, ToolCallDone, ToolResult, Usage, Whole
from outlive.shared.model.usage import estimate_prompt, estimated, total
from outlive.worker.attempt.conversation import Conversation, Round
from outlive.worker.attempt.earlier_attempts import EarlierAttempts
from outlive.worker.attempt.model_turn import ChooseUpstream, Clocks, ModelTurn, Upstream
from outlive.worker.attempt.request_telemetry import OpenCall
from outlive.worker.attempt.retry import Unanswered
from outlive.worker.attempt.tool_calls import ToolCalls
from outlive.worker.json_stream.json_stream import JsonStream
from outlive.worker.publishing.outbox import OutputTooLarge
from outlive.worker.publishing.publication import Publication
from outlive.worker.tools.tool_modules import offer
from outlive.worker.tools.toolbox import Toolbox

_CUT: Final = frozenset({"length", "content_filter"})
"""Ends after which a call may lack its last piece. OpenAI says `stop` for calls that the request
forced, and compatible servers use words of their own; so what is not one of these is whole."""


class Attempt:
    """One worker's try at one generation."""

    def __init__(
        self,
        request: dict[str, Any],
        publication: Publication,
        choose_upstream: ChooseUpstream,
        clocks: Clocks,
        toolbox: Toolbox,
        asking: OpenCall,
        recall: Callable[[], Awaitable[EarlierAttempts]],
    ) -> None:
        """`asking` is told of each question to the provider; `recall` reads what former attempts left in the log."""
        self._request, self._offered = offer(request, toolbox.registry)
        self._publication = publication
        self._telling = JsonStream(publication, self._request)
        self._deadline = asyncio.get_running_loop().time() + publication.remaining_s
        self._choose_upstream = choose_upstream
        self._max_output_tokens = 0
        """The chosen upstream's."""
        self._pieces = 0
        self._clocks = clocks
        self._toolbox = toolbox
        self._asking = asking
        self._recall = recall
        self._calls = ToolCalls()
        self._turns: list[tuple[ModelTurn, int]] = []
        """With the output tokens known before each."""

    async def run(self) -> None:
        """Write the whole answer. Raises `Interrupted` when the upstream broke off in a way that
        another attempt may mend, `LostPlace` when the log is no longer ours.

        The upstream's socket is closed before the last event is waited for, so whoever sees that
        event knows that nothing is being paid for any more.
        """
        await self._publication.close(await self._terminal())

    def failed_by(self, error: UpstreamError) -> Failed:
        return self.failed(error.failed_code, error.message, retryable=error.retryable)

    def failed(self, code: str, message: str, *, retryable: bool) -> Failed:
        """The last event for a failure, with this attempt's totals."""
        outbox = self._publication.outbox
        return Failed(code, message, retryable, self._usage(), outbox.chars, outbox.events_with_terminal())

    async def _terminal(self) -> Terminal:
        try:
            async with asyncio.timeout_at(self._deadline) as whole:
                return await self._converse()
        except TimeoutError:
            if not whole.expired():
                raise
            return self.failed("deadline_exceeded", "The answer took longer than its deadline allows.", retryable=True)
        except OutputTooLarge:
            return self.failed("output_too_large", "The answer is larger than this server allows.", retryable=False)
        except Unanswered as error:
            return self.failed_by(error.cause)
        except UpstreamRefused as error:
            return self.failed_by(error)
        finally:
            self._telling.stop()

    async def _converse(self) -> Terminal:
        conversation = Conversation(self._request)
        upstream = self._choose_upstream(self._request)
        self._max_output_tokens = upstream.max_output_tokens
        left = await self._tell_again(conversation) if self._offered else None
        while True:
            said = left or await self._ask(upstream, conversation.request)
            left = None
            due = [call for call in said.unanswered if call.name in self._offered]
            if due and conversation.rounds >= self._toolbox.limits.rounds:
                return self.failed("too_many_rounds", "The model called tools too often.", retryable=False)
            if due:
                said = replace(said, results=said.results | await self._run_tools(due))
            if said.unanswered:
                # Calls that are the caller's to run, whatever else was run beside them.
                return await self._completed("tool_calls")
            if not said.calls:
                return await self._completed(said.finish_reason)
            conversation.add(said)

    async def _ask(self, upstream: Upstream, request: dict[str, Any]) -> Round:
        # A provider counts also what it does not show, such as its reasoning.
        if sum(turn.usage.completion_tokens for turn, _ in self._turns if turn.usage) >= self._max_output_tokens:
            raise OutputTooLarge
        turn = ModelTurn(request, self._calls, self._say, self._asking)
        self._turns.append((turn, self._publication.outbox.output_tokens))
        await turn.listen(upstream, self._clocks, self._deadline)
        calls = self._calls.end_round()
        if turn.finish_reason in _CUT:
            calls = []
        for call in calls:
            await self._say(call)
        return Round(turn.text, calls, {}, turn.finish_reason)

    async def _run_tools(self, due: Sequence[ToolCallDone]) -> dict[str, ToolResult]:
        # Calls are in the log before they are run, so a worker that lost its place learns it here;
        # results are there before the model hears them, so that no attempt has to guess.
        await self._publication.settled()
        results = await self._toolbox.run(due, self._offered, self._say)
        await self._publication.settled()
        return results

    async def _tell_again(self, conversation: Conversation) -> Round | None:
        """Repeat the rounds of former attempts, and return the last: some of its calls may be due."""
        if self._publication.taken.attempt == 1:
            return None
        former = await self._recall()
        told = former.rounds(lambda name: name in self._offered and self._offered[name].options.repeatable)
        for one in told:
            for event in one.events:
                if isinstance(event, ToolCallDone):
                    self._calls.know(event)
                await self._say(event)
        for one in told[:-1]:
            conversation.add(one.round)
        return told[-1].round if told else None

    async def _say(self, event: Delta | Whole) -> None:
        """Everything an answer consists of goes out here, once its place in the outbox is free."""
        if isinstance(event, ToolCallDone):
            await self._telling.end_call(event)
        elif not isinstance(event, ToolResult):
            # A piece is one token at least. By the estimate, which is by characters too, an answer that keeps
            # to the very number its caller was allowed to ask for would often be over it.
            self._pieces += 1
            if self._pieces > self._max_output_tokens:
                raise OutputTooLarge
        if self._publication.is_full:
            await self._publication.room()
        self._publication.add(event)
        if isinstance(event, Delta):
            self._telling.take(event)

    async def _completed(self, finish_reason: str) -> Completed:
        violations = await self._telling.end()
        outbox = self._publication.outbox
        return Completed(finish_reason, self._usage(), outbox.chars, outbox.events_with_terminal(), violations)

    def _usage(self) -> Usage:
        """Of all turns; what a provider did not say of one is guessed for that one."""
        if not self._turns:
            return estimated(estimate_prompt(self._request), 0)
        ends = [*(before for _, before in self._turns[1:]), self._publication.outbox.output_tokens]
        return total(
            turn.usage or estimated(estimate_prompt(turn.request), end - before)
            for (turn, before), end in zip(self._turns, ends, strict=True)
        )
