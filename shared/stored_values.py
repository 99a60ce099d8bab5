"""Owns how settings name a value that may be a secret: a literal, `${VARIABLE}`, or `file:PATH`.

A file is read again when it changes, so a rotated secret needs no restart. One way for upstreams' headers and queries,
and whatever else comes to hold secrets. Knows nothing of what a value is for.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from outlive.shared.errors import SettingsError

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_FILE: Final = "file:"
_MAX_BYTES: Final = 65_536


class StoredFile:
    """A file that holds one value. Its state is looked at before each use, which costs about 2 us."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._state: tuple[int, int, int] | None = None
        self._text = ""

    def read(self) -> str:
        """The text as it is now, without white space around it. Raises `SettingsError`."""
        try:
            stat = os.stat(self._path)  # a Path object a request is what this avoids
            state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if state != self._state:
                self._text = Path(self._path).read_bytes()[:_MAX_BYTES].decode("utf-8").strip()
                self._state = state
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise SettingsError(f"The file {self._path} cannot be read: {why}.") from error
        return self._text


class StoredValue:
    """One value as it is written in a setting."""

    def __init__(self, written: str, environ: Mapping[str, str]) -> None:
        """Raises `SettingsError` for a variable that is not set, and for a file that cannot be read."""
        self._file = StoredFile(written.removeprefix(_FILE)) if written.startswith(_FILE) else None
        self._text = "" if self._file else _VARIABLE.sub(lambda match: _variable(match[1], environ), written)
        self.current()

    def current(self) -> str:
        """The value now. Raises `SettingsError` when a file is not there any more."""
        return self._file.read() if self._file else self._text


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if not (value := environ.get(name, "")):
        raise SettingsError(f"The variable {name}, which a setting names, is empty or not set.")
    return value
