"""Owns taking JSON out of a code fence: many models write one around it, although they were asked for JSON.

Pure. Text in, the text inside the fence out, piece by piece. Text without a fence at its beginning passes unchanged.
A fence closes only at the beginning of a line, where no JSON string can be: inside one a line break is an escape.
"""

import re
from typing import Final

_OPENING: Final = re.compile(r"\s*```[\w.+-]{0,32}[ \t]*\n")
_MAY_OPEN: Final = re.compile(r"\s*(?:`{0,2}|```[\w.+-]{0,32}[ \t]*)")
_CLOSING: Final = re.compile(r"\n[ \t]*```")
_MAY_CLOSE: Final = re.compile(r"\n[ \t]{0,16}`{0,2}$")


class CodeFence:
    """One text."""

    def __init__(self) -> None:
        self.is_open = False
        """The text began with a fence."""
        self._held = ""
        self._has_begun = False
        self._is_closed = False

    def feed(self, text: str) -> str:
        """What the next piece adds to the text inside."""
        if self._has_begun and not self.is_open:
            return text
        if self._is_closed:
            return ""
        text, self._held = self._held + text, ""
        if not self._has_begun:
            if _MAY_OPEN.fullmatch(text):
                self._held = text
                return ""
            self._has_begun = True
            if (opening := _OPENING.match(text)) is None:
                return text
            self.is_open, text = True, text[opening.end() :]
        return self._inside(text)

    def end(self) -> str:
        """What was held back because it might have been a fence."""
        text, self._held = self._held, ""
        return text

    def _inside(self, text: str) -> str:
        if (closing := _CLOSING.search(text)) is not None:
            self._is_closed = True
            return text[: closing.start()]
        if (partial := _MAY_CLOSE.search(text)) is not None:
            self._held = text[partial.start() :]
            return text[: partial.start()]
        return text
