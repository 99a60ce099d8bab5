"""Owns what the person at the terminal reads."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

_PROMPT: Final = "Tell me about the sea."


class Console:
    """Standard output, which may be closed before this process ends (`make up | head`)."""

    def __init__(self) -> None:
        self._gone = False
        self.on_gone: Callable[[], None] = lambda: None

    def print(self, line: str) -> None:
        """Print one line at once."""
        if self._gone:
            return
        try:
            print(line, flush=True)
        except OSError:
            self._gone = True
            # Python flushes once more when it exits, and would print an error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.on_gone()


def welcome(port: int, apis: int, workers: int, redis: str, providers: Sequence[str], model: str) -> Iterator[str]:
    """The lines that name what was started and where, and a request to try. `providers`: a line for each; `model`: one
    to ask for, if one is known."""
    url = f"http://127.0.0.1:{port}"
    name = model or "NAME-OF-A-MODEL"
    body = json.dumps({"model": name, "messages": [{"role": "user", "content": _PROMPT}]}, separators=(",", ":"))
    yield ""
    yield f"Outlive is up: {url}/"
    yield ""
    yield f"  API        {url}/v1/generations ({_counted(apis, 'process')})"
    yield f"  workers    {workers}"
    yield f"  Redis      {redis}"
    for number, line in enumerate(providers):
        yield f"  {'' if number else 'model':10} {line}"
    yield ""
    yield "Open this page, or try:"
    yield ""
    headers = "-H 'Accept: text/event-stream' -H 'Content-Type: application/json'"
    yield f"  curl -N {headers} -d '{body}' {url}/v1/generations"
    yield ""
    yield "Ctrl-C ends everything."
    yield ""


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}es"
