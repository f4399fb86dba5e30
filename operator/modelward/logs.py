"""Logging: JSON lines for machines or plain ones for people; others' chatter from warnings up.

Kopf, the HTTP clients and Kubernetes' client log whole requests and answers at lower levels, headers included: what
`level` opens up is our own.
"""

import logging
import sys
from types import TracebackType
from typing import Final

from pythonjsonlogger.json import JsonFormatter

from modelward.api.printable import printable, printable_lines
from modelward.settings import LogSettings

_FIELDS: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
_INDENT: Final = "    "

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LineFormatter(logging.Formatter):
    """A record in one line. A traceback follows indented, so that no line of an error's text passes for a record."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802
        """The traceback."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """The stack."""
        return _indented(super().formatStack(stack_info))


def configure(settings: LogSettings) -> None:
    """Set up logging to standard error for the whole process."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.format == "json":
        names = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(JsonFormatter(_FIELDS, rename_fields=names))
    else:
        handler.setFormatter(LineFormatter())
    level = logging.getLevelNamesMapping()[settings.level]
    logging.basicConfig(level=max(logging.WARNING, level), handlers=[handler], force=True)
    logging.getLogger("modelward").setLevel(level)


def _indented(text: str) -> str:
    return "\n".join(f"{_INDENT}{line}" for line in printable_lines(text).split("\n"))
