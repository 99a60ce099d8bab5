"""Owns one turn of the model: a request sent, and the model's answer to it until it ends.

Three times bound it: to the first piece, between pieces, and to the deadline of the whole answer, which is the
attempt's. Only a piece of the answer starts the wait for the next one; comments, empty chunks and token counts do not
(R27). In every turn the request may be sent again before the first piece (`retry.py`). Knows neither Redis nor SDK.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from outlive.shared.errors import UpstreamBroken, UpstreamError, UpstreamRefused
from outlive.shared.model.events import Delta, Token, Usage
from outlive.worker.attempt.idle_timeout import IdleTimeout
from outlive.worker.attempt.model import Model, Upstream
from outlive.worker.attempt.request_telemetry import UpstreamCall
from outlive.worker.attempt.retry import Unanswered, before_first_piece
from outlive.worker.attempt.tool_calls import ToolCalls
from outlive.worker.upstream.pieces import CallPiece, Finish, pieces_of

_AFTER_FINISH_S: Final = 5.0
"""After its finish reason a provider has this long to count tokens and hang up."""


class Interrupted(Exception):
    """The upstream broke off after the first piece; `cause` says how."""

    def __init__(self, cause: UpstreamError) -> None:
        super().__init__(cause.message)
        self.cause = cause


class ModelTurn:
    """What the model answered in one turn, once `run` has returned."""

    def __init__(
        self,
        request: dict[str, Any],
        model: Model,
        calls: ToolCalls,
        emit: Callable[[Delta], Awaitable[None]],
        *,
        tokens_before: int,
    ) -> None:
        """`emit` takes each piece, and may wait; `calls` tells the pieces of tool calls apart; `tokens_before`: the
        attempt's output tokens so far."""
        self.request = request
        self.tokens_before = tokens_before
        self.usage: Usage | None = None
        self._model = model
        self._calls = calls
        self._emit = emit
        self._finish_reason: str | None = None
        self._has_begun = False
        self._text: list[str] = []

    @property
    def finish_reason(self) -> str:
        if self._finish_reason is None:
            raise AssertionError("an upstream that ends without finish_reason has raised")
        return self._finish_reason

    @property
    def text(self) -> str:
        return "".join(self._text)

    async def run(self, upstream: Upstream, remaining_s: Callable[[], float]) -> None:
        """Ask, and ask again if no answer comes, for `remaining_s` at most. Raises `Interrupted` when the upstream
        broke off in a way that another attempt may mend, `Unanswered` or `UpstreamRefused` when it sent nothing."""
        async for trying in before_first_piece(remaining_s):
            # Waiting for other requests to end is not the provider's silence, so only the deadline runs.
            async with upstream.permit:
                with trying, self._model.call(self.request, upstream.name) as call:
                    await self._run_once(upstream, call)

    async def _run_once(self, upstream: Upstream, call: UpstreamCall) -> None:
        timeouts = self._model.timeouts
        idle = IdleTimeout(self._model.timers, timeouts.first_token_s)
        try:
            async with idle, upstream.open(self.request, call.headers) as chunks:
                async for chunk in chunks:
                    await self._take(chunk, idle, timeouts.between_tokens_s, call)
            if self._finish_reason is None:
                raise UpstreamBroken("upstream_truncated", "The provider's stream ended before the answer did.")
            call.ended(self._finish_reason, self.usage)
        except TimeoutError as error:
            if not idle.expired():
                raise
            self._break_off(UpstreamBroken("upstream_timeout", "The provider fell silent."), error, call)
        except UpstreamBroken as error:
            self._break_off(error, error, call)
        except UpstreamRefused as error:
            call.failed(error.failed_code)
            raise

    async def _take(self, chunk: Any, idle: IdleTimeout, between_tokens_s: float, call: UpstreamCall) -> None:
        for piece in pieces_of(chunk):
            match piece:
                case Finish():
                    self._finish_reason = piece.reason
                    idle.restart(min(_AFTER_FINISH_S, between_tokens_s))
                case Usage():
                    self.usage = piece
                case _:
                    if not self._has_begun:
                        self._has_begun = True
                        call.answered(chunk)
                    if isinstance(piece, Token):
                        self._text.append(piece.text)
                    # Our own slowness is not the provider's silence.
                    idle.pause()
                    await self._emit(self._calls.add(piece) if isinstance(piece, CallPiece) else piece)
                    idle.restart(between_tokens_s)

    def _break_off(self, error: UpstreamBroken, cause: BaseException, call: UpstreamCall) -> None:
        if self._finish_reason is not None:
            # It fell silent or hung up after its last piece: the answer is complete all the same.
            call.ended(self._finish_reason, self.usage)
            return
        call.failed(error.failed_code)
        if self._has_begun:
            raise Interrupted(error) from cause
        raise Unanswered(error) from cause
