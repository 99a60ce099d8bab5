"""Owns what is said to the person at the terminal."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Final

_PROMPT: Final = "Tell me about the sea."


class Console:
    """Standard output, which may go away before we do (`make up | head`)."""

    def __init__(self) -> None:
        self._gone = False
        self.on_gone: Callable[[], None] = lambda: None

    def say(self, line: str) -> None:
        """One line, at once."""
        if self._gone:
            return
        try:
            print(line, flush=True)
        except OSError:
            self._gone = True
            # Python flushes once more at its end and would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.on_gone()


def welcome(port: int, apis: int, workers: int, redis: str, model: str, *, demo: bool) -> Iterator[str]:
    """What was started, where, and what to try."""
    url = f"http://127.0.0.1:{port}"
    chosen = "demo" if demo else "NAME-OF-A-MODEL"
    body = json.dumps({"model": chosen, "messages": [{"role": "user", "content": _PROMPT}]}, separators=(",", ":"))
    yield ""
    yield f"Outlive is up: {url}/"
    yield ""
    yield f"  API        {url}/v1/generations ({_counted(apis, 'process')})"
    yield f"  workers    {workers}"
    yield f"  Redis      {redis}"
    yield f"  model      {model}"
    yield ""
    yield "Open the page above, or try:"
    yield ""
    accept = "-H 'Accept: text/event-stream' -H 'Content-Type: application/json'"
    yield f"  curl -N {accept} -d '{body}' {url}/v1/generations"
    yield ""
    yield "Ctrl-C ends all of it."
    yield ""


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}es"
