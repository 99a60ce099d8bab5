"""Owns one turn of the model: a request sent, and what the model says to it until it ends.

Three clocks stand over it: first piece, between pieces, and the whole answer's, which is the
attempt's; nothing but a piece of the answer winds them up again, neither comments nor empty chunks
nor counts of tokens (R27). Before the first piece the request may be sent again (`retry.py`), in
every turn. Knows neither Redis nor the SDK.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from outlive.shared.errors import UpstreamBroken, UpstreamError, UpstreamRefused
from outlive.shared.model.events import Delta, Token, Usage
from outlive.worker.attempt.idle_timeout import IdleTimeout
from outlive.worker.attempt.request_telemetry import OpenCall, UpstreamCall
from outlive.worker.attempt.retry import Unanswered, before_first_piece
from outlive.worker.attempt.tool_calls import ToolCalls
from outlive.worker.upstream.pieces import CallPiece, Finish, pieces_of

_LAST_WORDS_S: Final = 5.0
"""After its finish reason a provider has this long to count tokens and hang up."""


class Upstream(Protocol):
    """A provider. Leaving the context closes its socket. Raises `UpstreamError`."""

    @property
    def name(self) -> str: ...

    @property
    def place(self) -> AbstractAsyncContextManager[None]:
        """To be held for each question: only so many are asked at once."""

    @property
    def max_output_tokens(self) -> int: ...

    def open(
        self, request: dict[str, Any], headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[AsyncIterator[Any]]: ...


ChooseUpstream = Callable[[Mapping[str, Any]], Upstream]
"""By what the request says. Raises `UpstreamRefused`."""


@dataclass(frozen=True, slots=True)
class Clocks:
    first_token_s: float
    between_tokens_s: float


class Interrupted(Exception):
    """The upstream broke off after something was said; `cause` is how."""

    def __init__(self, cause: UpstreamError) -> None:
        super().__init__(cause.message)
        self.cause = cause


class ModelTurn:
    """What the model said in one turn, once `listen` has returned."""

    def __init__(
        self,
        request: dict[str, Any],
        calls: ToolCalls,
        say: Callable[[Delta], Awaitable[None]],
        asking: OpenCall,
    ) -> None:
        """`say` takes each piece, and may wait; `calls` tells the pieces of tool calls apart;
        `asking` is told of each request."""
        self.request = request
        self.usage: Usage | None = None
        self._calls = calls
        self._say = say
        self._asking = asking
        self._finish_reason: str | None = None
        self._spoke = False
        self._text: list[str] = []

    @property
    def finish_reason(self) -> str:
        if self._finish_reason is None:
            raise AssertionError("an upstream that ends without finish_reason has raised")
        return self._finish_reason

    @property
    def text(self) -> str:
        return "".join(self._text)

    async def listen(self, upstream: Upstream, clocks: Clocks, deadline: float) -> None:
        """Ask, and again if nobody answers until `deadline` (loop time). Raises `Interrupted` when the
        upstream broke off in a way that another attempt may mend, `Unanswered` or `UpstreamRefused`
        when it said nothing."""
        async for trying in before_first_piece(deadline):
            # Waiting for others to end is not the provider's silence, so no clock but the deadline's runs.
            async with upstream.place:
                with trying, self._asking(self.request, upstream.name) as question:
                    await self._listen_once(upstream, clocks, question)

    async def _listen_once(self, upstream: Upstream, clocks: Clocks, question: UpstreamCall) -> None:
        try:
            silence = IdleTimeout(clocks.first_token_s)
            async with silence, upstream.open(self.request, question.headers) as chunks:
                async for chunk in chunks:
                    await self._take_in(chunk, silence, clocks.between_tokens_s, question)
            if self._finish_reason is None:
                raise UpstreamBroken("upstream_truncated", "The provider's stream ended before the answer did.")
            question.ended(self._finish_reason, self.usage)
        except TimeoutError as error:
            if not silence.expired():
                raise
            self._break_off(UpstreamBroken("upstream_timeout", "The provider fell silent."), error, question)
        except UpstreamBroken as error:
            self._break_off(error, error, question)
        except UpstreamRefused as error:
            question.failed(error.failed_code)
            raise

    async def _take_in(self, chunk: Any, silence: IdleTimeout, between_tokens_s: float, question: UpstreamCall) -> None:
        for piece in pieces_of(chunk):
            match piece:
                case Finish():
                    self._finish_reason = piece.reason
                    silence.wait(min(_LAST_WORDS_S, between_tokens_s))
                case Usage():
                    self.usage = piece
                case _:
                    if not self._spoke:
                        self._spoke = True
                        question.answered(chunk)
                    if isinstance(piece, Token):
                        self._text.append(piece.text)
                    # Our own slowness is not the provider's silence.
                    silence.rest()
                    await self._say(self._calls.add(piece) if isinstance(piece, CallPiece) else piece)
                    silence.wait(between_tokens_s)

    def _break_off(self, error: UpstreamBroken, cause: BaseException, question: UpstreamCall) -> None:
        if self._finish_reason is not None:
            # It fell silent or hung up after its last word, and has said all the same.
            question.ended(self._finish_reason, self.usage)
            return
        question.failed(error.failed_code)
        if self._spoke:
            raise Interrupted(error) from cause
        raise Unanswered(error) from cause
