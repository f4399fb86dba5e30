"""The log on standard error: a line an event, and one a second while bytes come. Secrets are taken out of each line."""

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from modelward_fetch.progress import Counter
from modelward_fetch.redaction import Redactor

EVERY_SECONDS = 1.0


class _Lines(logging.Formatter):
    def __init__(self, redactor: Redactor, *, as_json: bool) -> None:
        super().__init__()
        self._redactor = redactor
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Without tracebacks: they hold values. A defect says its type and place instead (cli)."""
        message = self._redactor(record.getMessage())
        if not self._as_json:
            return f"{record.levelname.lower()}: {message}" if record.levelno > logging.INFO else message
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {"time": moment, "level": record.levelname, "logger": record.name, "message": message}
        return json.dumps(fields)


def configure(redactor: Redactor, *, as_json: bool) -> None:
    """All loggers of the process, those of libraries from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(redactor, as_json=as_json))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("modelward_fetch").setLevel(logging.INFO)


@contextmanager
def progress_logged(counter: Counter) -> Iterator[None]:
    """A line a second while bytes come."""
    over = threading.Event()

    def say() -> None:
        while not over.wait(EVERY_SECONDS):
            if counter.progress.state == "Fetching":
                logging.getLogger("modelward_fetch").info("%s", counter.progress.sentence(time.monotonic()))

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
