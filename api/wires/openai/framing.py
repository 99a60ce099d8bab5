"""Owns the frames that both of OpenAI's formats need where the log has no event.

Their SDKs treat an empty line as an event as soon as one id was sent, and fail because it has no data; so comments are
not followed by an empty line, and there is no `retry:` by itself. They treat an early end as success; so a response
that must end early says so in an error (`openai_errors.py`). Pure.
"""

from collections.abc import Sequence
from typing import Final

from outlive.api.wires.openai.openai_errors import cut_short
from outlive.shared.log.reader import Logged

_OPENING: Final = b": outlive\n"


class Framing:
    """The part of a format that is neither its translator nor its resume points."""

    heartbeat = b": heartbeat\n"

    def __init__(self, how_to_resume: str) -> None:
        self._how_to_resume = how_to_resume

    def join(self, events: Sequence[Logged], frames: Sequence[bytes]) -> bytes:
        return b"".join(frames)

    def opening(self, retry_s: float) -> bytes:
        return _OPENING

    def farewell(self, retry_s: float) -> bytes:
        return cut_short(f"This connection ends before the answer does; {self._how_to_resume}.", "resume")

    def reset(self, reason: str) -> None:
        """These clients cannot take back what they were sent."""

    def lost(self, reason: str) -> bytes:
        return cut_short("The answer cannot be continued from there; read it again from its beginning.", reason)
