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
    """`form` is text for people or json for machines; both go to standard error."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
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
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
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
    logging.getLogger("regulars").setLevel(logging.INFO)


class _Stderr(logging.StreamHandler[Any]):
    """Standard error as it is now, not as it was when this was made."""

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


_logger: Any = structlog.stdlib.get_logger("regulars")


def log() -> Any:
    """The product's logger."""
    return _logger
