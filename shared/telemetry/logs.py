"""Owns how a process writes its log: one line per record, as JSON or for people, and what stands in each.

Rooms use Python's `logging`, and name in `extra` what a record is about; `about` says it for all that is
logged inside, also by tasks started there. Neither prompts nor answers are ever logged, nor keys: of
an exception that is not ours there is its type and its place, because its words may repeat what it
was given. Nothing is logged per token, nor per request.
"""

import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, Literal

import structlog
from structlog.types import EventDict, ExcInfo, WrappedLogger

from outlive.shared.errors import OutliveError

Format = Literal["console", "json"]

_NOISY: Final = ("httpx2", "arq.worker")
"""One line per request and per job adds nothing to our own."""


def configure(process: str, form: Format) -> None:
    """From now on, log like this. `process` is what it is: `api` or `worker`."""

    def name_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event.update(process=process, pid=os.getpid())
        return event

    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_told),
    ]
    last: list[structlog.types.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if form == "json":
        last += [name_process, structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer()]
    else:
        last += [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, pad_level=False)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=last, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def about(**words: str | int) -> AbstractContextManager[Any]:
    """Inside, every record says this too; words that are empty are left out."""
    said: Mapping[str, Any] = {name: word for name, word in words.items() if word != ""}
    return structlog.contextvars.bound_contextvars(**said)


def _told(exc_info: ExcInfo) -> str:
    """Where it came from and of what kind, cause by cause, the first one first."""
    return "\n".join(line for error in reversed(list(_causes(exc_info[1]))) for line in _lines(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _lines(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"{frame.filename}:{frame.lineno} in {frame.name}"
    # Ours are worded here, and those of the operating system hold addresses and paths.
    words = f": {error}" if isinstance(error, OutliveError | OSError) else ""
    yield f"{type(error).__module__}.{type(error).__qualname__}{words}"
