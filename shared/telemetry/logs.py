"""Owns how a process writes its log records: one line each, as JSON or for people, and the fields of each.

Modules use Python's `logging` and name the subject of a record in `extra`; `about` names it for all records inside,
also those of tasks that start there. Prompts, answers and keys are never logged. Of an exception that is not ours the
record has the type and the line of code, because its text may repeat its input. Nothing is logged per token or per
request.
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
"""They log one line per request and per job, which adds nothing to ours."""


def configure(process: str, form: Format) -> None:
    """Configure logging for the whole process. `process` is `api` or `worker`."""

    def name_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event.update(process=process, pid=os.getpid())
        return event

    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_rendered),
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
    """Add these fields to every record inside, without the empty ones."""
    fields: Mapping[str, Any] = {name: word for name, word in words.items() if word != ""}
    return structlog.contextvars.bound_contextvars(**fields)


def _rendered(exc_info: ExcInfo) -> str:
    """The lines of code and the type of each cause, the first cause first."""
    return "\n".join(line for error in reversed(list(_causes(exc_info[1]))) for line in _lines(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _lines(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"{frame.filename}:{frame.lineno} in {frame.name}"
    # We wrote the text of our own, and the text of OSError holds addresses and paths.
    text = f": {error}" if isinstance(error, OutliveError | OSError) else ""
    yield f"{type(error).__module__}.{type(error).__qualname__}{text}"
