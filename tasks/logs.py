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

from pythonjsonlogger.json import JsonFormatter

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
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_keys)
    if (style or ("text" if sys.stderr.isatty() else "json")) == "text":
        formatter: logging.Formatter = _Text(role)
    else:
        formatter = JsonFormatter(
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


def _time(zone: tzinfo, record: logging.LogRecord, _datefmt: str | None = None) -> str:
    return datetime.fromtimestamp(record.created, zone).isoformat(timespec="milliseconds")


def _add_keys(record: logging.LogRecord) -> bool:
    record.__dict__.update(_about.get())
    return True


class _Text(logging.Formatter):
    def __init__(self, role: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {role:<7} %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        keys = "".join(f" {key}={record.__dict__[key]}" for key in ("app", "event") if key in record.__dict__)
        return super().format(record) + keys
