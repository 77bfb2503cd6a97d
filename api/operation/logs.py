"""Structured logs: one event a line, with the request's id, and without anybody's personal data.

What can be logged is decided here: names of exceptions and where they arose, never their messages, because a database's
message quotes the row it is about; and routes as templates, never paths, because a path holds a card number.
"""

import logging
import sys
import traceback
from typing import Any

import msgspec
import structlog

from api.operation.context import current_request


def configure_logs(*, form: str) -> None:
    """`form` is text for people or json for machines; both go to standard error.

    Our own lines are written as they are made: every request has one, and the standard library's records would cost it as much
    as pricing its basket does. Other libraries' warnings come through those records and look the same.
    """
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_request,
        _without_messages,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_encoded)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_Lines,
    )
    handler = _Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [kept for kept in root.handlers if not isinstance(kept, _Stderr)] + [handler]
    # Others' libraries say at every request or job what our own lines say already, with arguments in them.
    root.setLevel(logging.WARNING)


class _Lines:
    """Writes to standard error as it is now, not as it was when this was made."""

    def __init__(self, *_: Any) -> None:
        pass

    def msg(self, line: str) -> None:
        sys.stderr.write(line + "\n")  # whole lines, so that those of several processes do not mix
        sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


class _Stderr(logging.StreamHandler[Any]):
    """The same for records of the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _with_request(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    request = current_request.get()
    if request.request_id:
        event.setdefault("request_id", request.request_id)
    return event


def _without_messages(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """An exception as its type and the lines it came by."""
    fault = event.pop("exc_info", None)
    if fault is True:
        fault = sys.exc_info()
    error = fault[1] if isinstance(fault, tuple) else fault
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["trace"] = [
            f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)[-12:]
        ]
    return event


def _encoded(event: Any, **options: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


_logger: Any = structlog.get_logger()


def log() -> Any:
    """The product's logger."""
    return _logger
