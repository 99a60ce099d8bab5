"""Owns one turn of the model: a request sent, and the model's answer to it until it ends.

Two clocks bound a provider's silence: before the first piece, and between pieces. Anything it sends, a comment or an
empty chunk too, shows that it lives and starts the clock anew; then only the deadline of the whole answer bounds it
(R27). In every turn the request may be sent again before the first piece (`retry.py`), also to another upstream.
`turn_end.py` decides whether the turn is complete. Knows neither Redis nor SDK.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from outlive.shared.errors import UpstreamBroken, UpstreamError, UpstreamRefused
from outlive.shared.model.events import Delta, Reasoning, Token, Usage
from outlive.worker.attempt.idle_timeout import IdleTimeout
from outlive.worker.attempt.model import Model, Silence, Upstream
from outlive.worker.attempt.request_telemetry import UpstreamCall
from outlive.worker.attempt.retry import Unanswered, before_first_piece, may_fail_over
from outlive.worker.attempt.tool_calls import ToolCalls
from outlive.worker.attempt.turn_end import TurnEnd
from outlive.worker.upstream.chunks import DONE
from outlive.worker.upstream.pieces import CallPiece, ChunkReader, Finish, Piece

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
        self.upstream: Upstream | None = None
        """The one that is asked now, or answered."""
        self._model = model
        self._calls = calls
        self._emit = emit
        self._reader = ChunkReader()
        self._end = TurnEnd()
        self._finish_reason: str | None = None
        self._has_begun = False
        self._text: list[str] = []
        self._reasoning: list[str] = []

    @property
    def finish_reason(self) -> str:
        if self._finish_reason is None:
            raise AssertionError("an upstream that ends without finish_reason has raised")
        return self._finish_reason

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    @property
    def served_model(self) -> str | None:
        """The model that answered, by its provider's name."""
        return self._reader.served_model

    def provider(self) -> dict[str, Any] | None:
        """What only the provider understands (`Turn.provider`)."""
        word = self._end.word
        extra: dict[str, Any] = {"finish_reason": word} if word not in (None, self._finish_reason) else {}
        if self._end.is_reason_missing:
            extra["finish_reason_missing"] = True
        return (self._reader.provider() | extra) or None

    async def run(self, upstreams: Sequence[Upstream], remaining_s: Callable[[], float]) -> None:
        """Ask, and ask again if no answer comes, for `remaining_s` at most. Raises `Interrupted` when the upstream
        broke off in a way that another attempt may mend, `Unanswered` or `UpstreamRefused` when it sent nothing."""
        async for trying in before_first_piece(remaining_s):
            with trying:
                await self._ask_in_order(upstreams)

    async def _ask_in_order(self, upstreams: Sequence[Upstream]) -> None:
        *others, last = upstreams
        for upstream in others:
            try:
                await self._ask(upstream)
            except Unanswered as error:
                if not may_fail_over(error.cause):
                    raise
            else:
                return
        await self._ask(last)

    async def _ask(self, upstream: Upstream) -> None:
        # Waiting for other requests to end is not the provider's silence, so only the deadline runs.
        async with upstream.permit:
            self.upstream = upstream
            # What a request that was sent in vain left behind is not part of this answer.
            self._reader, self._end = ChunkReader(), TurnEnd()
            with self._model.call(self.request, upstream.name) as call:
                await self._run_once(upstream, call)

    async def _run_once(self, upstream: Upstream, call: UpstreamCall) -> None:
        silence = self._model.silence_of(upstream, self.request)
        idle = IdleTimeout(self._model.timers, silence.first_token_s)

        def alive() -> None:
            # After the finish reason a provider that only pings has nothing more to send.
            if not self._end.is_plausible:
                idle.extend()

        try:
            async with idle, upstream.open(self.request, call.headers, alive) as chunks:
                async for chunk in chunks:
                    if chunk is DONE:
                        self._end.has_done = True
                    else:
                        await self._take(chunk, idle, silence, call)
            self._conclude(call)
        except TimeoutError as error:
            if not idle.expired():
                raise
            message = f"The upstream `{upstream.name}` sent nothing for {idle.within_s:g} s."
            self._break_off(UpstreamBroken("upstream_timeout", message), error, call)
        except UpstreamError as error:
            self._break_off(error, error, call)

    async def _take(self, chunk: Any, idle: IdleTimeout, silence: Silence, call: UpstreamCall) -> None:
        for piece in self._reader.pieces_of(chunk):
            match piece:
                case Finish():
                    self._end.finish(piece.reason)
                    after_s = _AFTER_FINISH_S
                    if not self._end.is_plausible:
                        # Some servers end their reasoning like this, and the answer is still to come.
                        after_s = max(after_s, silence.between_tokens_s)
                    idle.restart(after_s)
                case Usage():
                    self.usage = piece
                    self._end.has_usage = True
                case _:
                    if not self._has_begun:
                        self._has_begun = True
                        call.answered(chunk)
                    self._keep(piece)
                    # Our own slowness is not the provider's silence.
                    idle.pause()
                    event = self._calls.add(piece) if isinstance(piece, CallPiece) else piece
                    if event is not None:
                        await self._emit(event)
                    idle.restart(silence.between_tokens_s)
        self._end.unread = self._reader.unread

    def _keep(self, piece: Piece) -> None:
        self._end.piece(is_reasoning=isinstance(piece, Reasoning), is_text=isinstance(piece, Token))
        if isinstance(piece, Token):
            self._text.append(piece.text)
        elif isinstance(piece, Reasoning):
            self._reasoning.append(piece.text)

    def _conclude(self, call: UpstreamCall) -> None:
        """The turn is complete. Raises `UpstreamError` where it is not."""
        self._finish_reason = self._end.reason()
        call.ended(self._finish_reason, self.usage)

    def _break_off(self, error: UpstreamError, cause: BaseException, call: UpstreamCall) -> None:
        if self._end.is_claimed and isinstance(error, UpstreamBroken):
            # It fell silent or hung up after its last piece: the answer may be complete all the same.
            try:
                self._conclude(call)
                return
            except UpstreamError as judged:
                error = judged
        call.failed(error.failed_code)
        if isinstance(error, UpstreamRefused):
            raise error from cause
        assert isinstance(error, UpstreamBroken)
        if self._has_begun:
            raise Interrupted(error) from cause
        raise Unanswered(error) from cause
