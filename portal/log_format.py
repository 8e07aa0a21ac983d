"""What the processes write about themselves: one line per event, as logfmt or JSON, without addresses or secrets."""

from __future__ import annotations

import json
import json.encoder
import logging
import re
import sys
import time
import traceback
from functools import lru_cache
from types import TracebackType
from typing import Any, ClassVar

from flask import Flask
from redis import RedisError
from sqlalchemy.exc import OperationalError

ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

# These say what the infrastructure did. Any other exception's words may quote a mail, so only its type is written.
_SPEAKING = (OSError, RedisError, OperationalError)
# The second line of defence, for whatever a library says; the user and password of a URL look the same.
# Only from a word's beginning, so that each word is read once.
_ADDRESS = re.compile(r"(?<![^\s\"'<>@])[^\s\"'<>@]+@[^\s\"'<>@]+")
_PLAIN = re.compile(r"[^\s\"=\\]+")
_quoted = json.encoder.encode_basestring  # json.dumps(text, ensure_ascii=False), without an encoder made for each call


def init_app(app: Flask) -> None:
    """Write to stderr unless the embedding process has set up logging of its own."""
    Formatter.as_json = app.extensions["settings"].log_format == "json"
    Formatter.quotes_errors = app.debug
    logging.getLogger("sqlalchemy.engine.Engine").addFilter(_no_rows)
    ours = logging.getLogger("portal")
    if ours.level == logging.NOTSET:
        ours.setLevel(logging.INFO)
    if not ours.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(Formatter())
        logging.getLogger().addHandler(handler)  # the root: RQ's lines and those of jobs/ are written alike
        # Not written, so not asked for (docs.python.org, logging HOWTO, "Optimization").
        logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _no_rows(record: logging.LogRecord) -> bool:
    """Keep out what SQLAlchemy says at DEBUG: whole rows, which hide_parameters doesn't hide."""
    return record.levelno > logging.DEBUG


class Formatter(logging.Formatter):
    """`logger.info("event", extra={"fields": {...}})` becomes one line; a traceback becomes one field of it."""

    as_json: ClassVar[bool] = False
    quotes_errors: ClassVar[bool] = False  # by bin/dev: nobody's mail is there

    def __init__(self) -> None:
        super().__init__()
        self._second: tuple[int, str] = (0, "")

    def format(self, record: logging.LogRecord) -> str:
        head = _json_head if Formatter.as_json else _logfmt_head
        if record.args:
            line = head.__wrapped__(record.levelname, record.name, record.getMessage())
        else:
            line = head(record.levelname, record.name, str(record.msg))
        fields: dict[str, Any] = getattr(record, "fields", {})
        if record.exc_info:
            fields = {**fields, "error": error_text(record.exc_info)}
        at = self._time(record.created)
        if Formatter.as_json:
            pairs = [f', "{name}": {_json(value)}' for name, value in fields.items() if value is not None]
            return f'{{"at": "{at}", {line}{"".join(pairs)}}}'
        pairs = [f" {name}={_logfmt(value)}" for name, value in fields.items() if value is not None]
        return f"at={at} {line}{''.join(pairs)}"

    def _time(self, created: float) -> str:
        second = int(created)
        if second != self._second[0]:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        return f"{self._second[1]}.{int((created - second) * 1000):03d}Z"


def error_text(exc_info: ExcInfo) -> str:
    """An exception as its types and places: what it says may quote an address, a subject or a secret."""
    _, error, _ = exc_info
    parts: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        speaks = Formatter.quotes_errors or isinstance(error, _SPEAKING)
        said = _masked(str(error).partition("\n")[0]) if speaks else ""
        frames = traceback.extract_tb(error.__traceback__)
        places = "\n".join(f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
        parts.append(f"{kind}{f': {said}' if said else ''}\n{places}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nafter ".join(parts)


def _masked(text: str) -> str:
    return _ADDRESS.sub("[address]", text) if "@" in text else text


def _json(value: Any) -> str:
    if type(value) is int:
        return str(value)
    if isinstance(value, (int, float)):
        return json.dumps(value)
    return _quoted(_masked(str(value)))


def _logfmt(value: Any) -> str:
    text = str(value)
    if text.isalnum() or text.isidentifier():
        return text  # most are: it is quicker than the pattern
    text = _masked(text)
    return text if _PLAIN.fullmatch(text) else _quoted(text)


# Events without arguments are few, and come once per mail.
@lru_cache(maxsize=256)
def _json_head(level: str, logger: str, event: str) -> str:
    return f'"level": "{level.lower()}", "logger": {_json(logger)}, "event": {_json(event)}'


@lru_cache(maxsize=256)
def _logfmt_head(level: str, logger: str, event: str) -> str:
    return f"level={level.lower()} logger={_logfmt(logger)} event={_logfmt(event)}"


# For gunicorn.conf.py: the web server's own lines.
GUNICORN: dict[str, Any] = {
    "formatters": {"generic": {"()": Formatter}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": sys.stdout},
        "error_console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": sys.stderr},
    },
    "root": {"level": "WARNING", "handlers": ["error_console"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["error_console"], "propagate": False},
        # Its lines hold paths, and those hold tokens; portal.request_log writes ours.
        "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
    },
}
