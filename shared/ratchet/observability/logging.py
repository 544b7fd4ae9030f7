"""Structured logs: one JSON object per line, a stable `event` word, ids from context variables, secrets masked."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ratchet.domain.failure import sanitise
from ratchet.domain.masking import mask_secrets

_LEVELS = {
    # Access lines would show tokens that travel in a query.
    "uvicorn.access": logging.CRITICAL,
    "uvicorn.error": logging.WARNING,
    # Each lost connection is reported there several times; Ratchet reports it once itself.
    "aio_pika": logging.CRITICAL,
    "aiormq": logging.CRITICAL,
    "faststream": logging.WARNING,
}


def configure_logging(service: str, *, level: str = "INFO", form: str = "json") -> None:
    """Send structlog and standard logging to standard error in one form (`json` or `console`)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _service_name(service),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _mask,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if form == "console"
        else structlog.processors.JSONRenderer(ensure_ascii=True, default=str)
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name, quiet_level in _LEVELS.items():
        logging.getLogger(name).setLevel(quiet_level)


def _service_name(service: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return add


def _mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # Tracebacks keep their lines; whatever else is text becomes one clean line without credentials.
    return {
        key: mask_secrets(value) if key == "exception" else sanitise(value) if isinstance(value, str) else value
        for key, value in event.items()
    }
