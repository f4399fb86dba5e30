"""Logging: JSON lines for machines or plain ones for people; Kopf's own chatter from warnings up."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

from modelward.settings import LogSettings

_FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure(settings: LogSettings) -> None:
    """Set up logging to standard error for the whole process."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.format == "json":
        names = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(JsonFormatter(_FIELDS, rename_fields=names))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    for noisy in ("kopf", "asyncio", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(settings.level)))
