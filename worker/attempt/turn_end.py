"""Owns whether and how one turn of the model has ended, from what its stream held.

Pure. A finish reason is believed only if nothing of the answer comes after it: servers repeat one on every chunk, or
send one behind the reasoning and go on. A word that means failure fails, a word nobody knows counts only in a stream
that ended as a whole one does, and an answer of which nothing was understood is never whole.
"""

from outlive.shared.errors import UpstreamBroken, UpstreamError, UpstreamRefused
from outlive.worker.upstream.finish_reasons import Verdict, judge

STOP = "stop"


class TurnEnd:
    """Told of each thing the stream holds, in order."""

    def __init__(self) -> None:
        self.has_done = False
        """The provider said `[DONE]`."""
        self.has_usage = False
        self.unread: set[str] = set()
        """Names of members that may be the answer, in a form that is unknown here."""
        self._word: str | None = None
        self._has_text = False
        self._has_answer = False
        self._has_begun = False
        self._was_early = False
        """A finish reason came before the end: another one may be as early."""

    def piece(self, *, is_reasoning: bool, is_text: bool) -> None:
        """A piece of the answer: whatever ended before it had not ended."""
        self._was_early = self._was_early or self._word is not None
        self._word = None
        self._has_begun = True
        self._has_answer = self._has_answer or not is_reasoning
        self._has_text = self._has_text or is_text

    def finish(self, word: str) -> None:
        """A finish reason, in the provider's own word."""
        self._word = word

    @property
    def is_claimed(self) -> bool:
        """Whether the provider has said that the turn is over."""
        return self._word is not None

    @property
    def is_plausible(self) -> bool:
        """Whether more is unlikely to come. Behind reasoning alone, or an early finish reason, it may."""
        return self._word is not None and not self._was_early and (self._has_answer or not self._has_begun)

    @property
    def word(self) -> str | None:
        """The provider's own word, where it differs from OpenAI's for the same."""
        return self._word

    @property
    def is_reason_missing(self) -> bool:
        """Whether the turn is whole although the provider named no reason."""
        return self._word is None and self.has_done and self.has_usage and self._has_text

    def reason(self) -> str:
        """The finish reason, in OpenAI's word where it has one. Raises `UpstreamError` where the turn is not whole."""
        if self._word is None:
            if self.is_reason_missing:
                return STOP
            raise UpstreamBroken("upstream_truncated", "The provider's stream ended before the answer did.")
        verdict, reason = judge(self._word)
        word = self._word[:80]
        if verdict is Verdict.BROKEN:
            raise UpstreamBroken("upstream_error", f"The provider gave up: it ended the answer with `{word}`.")
        if verdict is Verdict.UNKNOWN and not (self.has_done or self.has_usage):
            message = f"The provider's stream ended with `{word}`, a reason that is not known here."
            raise UpstreamBroken("upstream_truncated", message)
        if self.unread and not self._has_begun:
            raise _not_understood(self.unread)
        return reason


def _not_understood(unread: set[str]) -> UpstreamError:
    names = ", ".join(f"`{name}`" for name in sorted(unread)[:4])
    return UpstreamRefused(
        "upstream_protocol", f"The provider's answer has only {names}, which cannot be shown here. Ask for text."
    )
