"""Owns the bytes of OpenAI's streams that do not come from the log: opening, heartbeat, early end.

Pure. Once an id was sent, the SDKs read an empty line as an event and fail because it has no data. So comments
end with one line break, and there is no `retry:` on its own. The SDKs take an early end for success, so a
stream that cannot be completed ends with an error (`openai_errors.py`).
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
        return cut_short(f"This connection ends before the answer does: {self._how_to_resume}.", "resume")

    def reset(self, reason: str) -> None:
        """Not possible: clients of these streams do not forget what they got."""

    def lost(self, reason: str) -> bytes:
        return cut_short(
            "The stream cannot continue after the id you sent. Read the answer from its beginning.", reason
        )
