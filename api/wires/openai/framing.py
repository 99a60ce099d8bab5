"""Owns what both of OpenAI's wires say where the log says nothing.

Their SDKs take an empty line for an event as soon as one id was sent, and fail on its missing
data; so comments have none behind them, and there is no `retry:` by itself. They take an early
end for success; so whoever cannot be told everything is told so (`failures.py`). Pure.
"""

from collections.abc import Sequence
from typing import Final

from outlive.api.wires.openai.openai_errors import cut_short
from outlive.shared.log.reader import Logged

_OPENING: Final = b": outlive\n"


class Framing:
    """The part of a wire that is not its translator."""

    is_stateless = False
    heartbeat = b": heartbeat\n"

    def __init__(self, how_to_resume: str) -> None:
        self._how_to_resume = how_to_resume

    def joined(self, events: Sequence[Logged], frames: Sequence[bytes]) -> bytes:
        return b"".join(frames)

    def opening(self, retry_s: float) -> bytes:
        return _OPENING

    def farewell(self, retry_s: float) -> bytes:
        return cut_short(f"This connection ends before the answer does; {self._how_to_resume}.", "resume")

    def reset(self, reason: str) -> None:
        """What was said cannot be taken back here."""

    def lost(self, reason: str) -> bytes:
        return cut_short("The answer cannot be continued from there; read it again from its beginning.", reason)
