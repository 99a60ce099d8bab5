"""Owns one attempt: the upstream's pieces into the publication, until a last event is written.

Decides what an end means: only a `finish_reason` makes `completed` (R13). Knows neither Redis nor
the SDK. Three clocks: first piece, between pieces, whole answer; nothing but a piece of the answer
winds them up again, neither comments nor empty chunks nor counts of tokens (R27).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from shared.errors import UpstreamBroken, UpstreamError, UpstreamRefused
from shared.events import Completed, Failed, Terminal, Usage
from shared.usage import estimated
from worker.outbox import OutputTooLarge
from worker.publication import Publication
from worker.retry import Unanswered, before_first_piece
from worker.telling import Telling
from worker.upstream.pieces import Finish, pieces_of

log = logging.getLogger(__name__)

_LAST_WORDS_S: Final = 5.0
"""After its finish reason a provider has this long to count tokens and hang up."""


class Upstream(Protocol):
    """A provider. Leaving the context closes its socket. Raises `UpstreamError`."""

    def open(self, request: dict[str, Any]) -> AbstractAsyncContextManager[AsyncIterator[Any]]: ...


@dataclass(frozen=True, slots=True)
class Clocks:
    first_token_s: float
    between_tokens_s: float


class Interrupted(Exception):
    """The upstream broke off after something was said; `cause` is how."""

    def __init__(self, cause: UpstreamError) -> None:
        super().__init__(cause.message)
        self.cause = cause


class Attempt:
    """One worker's try at one generation."""

    def __init__(self, publication: Publication, upstream: Upstream, clocks: Clocks, *, prompt_tokens: int) -> None:
        self._publication = publication
        self._upstream = upstream
        self._clocks = clocks
        self._prompt_tokens = prompt_tokens
        self._spoke = False
        self._usage: Usage | None = None
        self._finish_reason: str | None = None

    async def run(self, request: dict[str, Any]) -> None:
        """Write the whole answer. Raises `Interrupted` when the upstream broke off in a way that
        another attempt may mend, `LostPlace` when the log is no longer ours.

        The upstream's socket is closed before the last event is waited for, so whoever sees that
        event knows that nothing is being paid for any more.
        """
        await self._publication.close(await self._terminal_of(request))

    async def _terminal_of(self, request: dict[str, Any]) -> Terminal:
        deadline = asyncio.get_running_loop().time() + self._publication.taken.remaining_s
        telling = Telling(self._publication, request)
        try:
            async with asyncio.timeout_at(deadline) as whole:
                return await self._listen(request, telling, deadline)
        except TimeoutError:
            if not whole.expired():
                raise
            return self.failed("deadline_exceeded", "The answer took longer than its deadline allows.", retryable=True)
        finally:
            telling.stop()

    async def _listen(self, request: dict[str, Any], telling: Telling, deadline: float) -> Terminal:
        try:
            async for attempt in before_first_piece(deadline):
                with attempt:
                    await self._listen_once(request, telling)
        except OutputTooLarge:
            return self.failed("output_too_large", "The answer is larger than this server allows.", retryable=False)
        except Unanswered as error:
            return self.failed_by(error.cause)
        except UpstreamRefused as error:
            return self.failed_by(error)
        if self._finish_reason is None:
            raise AssertionError("an upstream that ends without finish_reason has raised")
        violations = await telling.end()
        outbox = self._publication.outbox
        return Completed(
            self._finish_reason, self._known_usage(), outbox.chars, outbox.events_with_terminal(), violations
        )

    async def _listen_once(self, request: dict[str, Any], telling: Telling) -> None:
        try:
            async with asyncio.timeout(self._clocks.first_token_s) as silence:
                async with self._upstream.open(request) as chunks:
                    async for chunk in chunks:
                        await self._take_in(chunk, silence, telling)
            if self._finish_reason is None:
                raise UpstreamBroken("upstream_truncated", "The provider's stream ended before the answer did.")
        except TimeoutError as error:
            if not silence.expired():
                raise
            self._break_off(UpstreamBroken("upstream_timeout", "The provider fell silent."), error)
        except UpstreamBroken as error:
            self._break_off(error, error)

    async def _take_in(self, chunk: Any, silence: asyncio.Timeout, telling: Telling) -> None:
        loop = asyncio.get_running_loop()
        for piece in pieces_of(chunk):
            match piece:
                case Finish():
                    self._finish_reason = piece.reason
                    silence.reschedule(loop.time() + min(_LAST_WORDS_S, self._clocks.between_tokens_s))
                case Usage():
                    self._usage = piece
                case _:
                    self._spoke = True
                    if self._publication.is_full:
                        # Our own slowness is not the provider's silence.
                        silence.reschedule(None)
                        await self._publication.room()
                    self._publication.add(piece)
                    telling.take(piece)
                    silence.reschedule(loop.time() + self._clocks.between_tokens_s)

    def _break_off(self, error: UpstreamBroken, cause: BaseException) -> None:
        if self._finish_reason is not None:
            # It fell silent or hung up after its last word, and has said all the same.
            return
        if self._spoke:
            raise Interrupted(error) from cause
        raise Unanswered(error) from cause

    def failed_by(self, error: UpstreamError) -> Failed:
        return self.failed(error.failed_code, error.message, retryable=error.retryable)

    def failed(self, code: str, message: str, *, retryable: bool) -> Failed:
        """The last event for a failure, with this attempt's totals."""
        outbox = self._publication.outbox
        return Failed(code, message, retryable, self._known_usage(), outbox.chars, outbox.events_with_terminal())

    def _known_usage(self) -> Usage:
        return self._usage or estimated(self._prompt_tokens, self._publication.outbox.output_tokens)
