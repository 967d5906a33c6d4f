"""Structured logs: one line an occurrence, with the event's key on every line of its way.

with about(event="3f9a…", app="sales"):  log.info("sent after 0.4 s")
"""

import contextlib
import contextvars
import logging
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from functools import partial
from types import MappingProxyType
from typing import TextIO

from pythonjsonlogger.json import JsonFormatter

from tasks.visible_text import escaped

_about: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("about", default=MappingProxyType({}))


@contextlib.contextmanager
def about(**keys: str) -> Iterator[None]:
    """Put `keys` on every line that is logged inside, in this thread."""
    token = _about.set({**_about.get(), **keys})
    try:
        yield
    finally:
        _about.reset(token)


def set_up(level: str, style: str | None, role: str, zone: tzinfo = UTC) -> None:
    """Log to stderr, times in `zone`. `style`: "text", "json", or None for text on a terminal and json elsewhere."""
    handler = _Handler(sys.stderr)
    handler.addFilter(_add_keys)
    if (style or ("text" if sys.stderr.isatty() else "json")) == "text":
        formatter: logging.Formatter = _Text(role)
    else:
        formatter = _Json(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            static_fields={"role": role},
            json_ensure_ascii=False,
        )
    formatter.formatTime = partial(_time, zone)  # type: ignore[method-assign]
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("celery", "kombu", "urllib3", "gunicorn", "waitress"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


def escape_warnings() -> None:
    """Escape what commands log that never call `set_up`: Python prints warnings then, as they are."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Lines())


def _time(zone: tzinfo, record: logging.LogRecord, _datefmt: str | None = None) -> str:
    return datetime.fromtimestamp(record.created, zone).isoformat(timespec="milliseconds")


def _add_keys(record: logging.LogRecord) -> bool:
    record.__dict__.update(_about.get())
    return True


class _Handler(logging.StreamHandler[TextIO]):
    """Costs the line alone where stderr was closed, as an installed package may do; else whoever logs would fail."""

    def handleError(self, record: logging.LogRecord) -> None:  # the name is logging's
        with contextlib.suppress(ValueError):
            super().handleError(record)


class _Lines(logging.Formatter):
    """An occurrence's line, and those of its traceback: what comes from outside makes no further one."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # the name is logging's
        return escaped(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(escaped, super().format(record).split("\n")))


class _Text(_Lines):
    def __init__(self, role: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {role:<7} %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        keys = "".join(f" {key}={record.__dict__[key]}" for key in ("app", "event") if key in record.__dict__)
        return super().format(record) + escaped(keys)


class _Json(JsonFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))
