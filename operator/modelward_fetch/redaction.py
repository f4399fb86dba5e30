"""Secrets stay where they are: what is printed, logged or reported goes through here.

Values of credentials are replaced wherever they occur, also as they stand in an address or an authorization header;
queries of addresses, which hold signatures, are cut off whoever wrote them.
"""

import base64
import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, quote_plus

from modelward.api.printable import printable

_SHORTEST: Final = 4
"""Characters: replacing shorter ones would make text unreadable and show their place."""
_QUERY: Final = re.compile(
    r"(\b[a-z][a-z0-9+.-]*://[^\s?\"'<>]*)\?(?!versionId=|generation=)[^\s\"'<>]*", re.IGNORECASE
)
_USER: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]*@(?=[^/\s]*)", re.IGNORECASE)
HIDDEN: Final = "[hidden]"


class Redactor:
    """Knows the secrets of this fetch."""

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def add(self, *secrets: str) -> None:
        """Learn values that must not be shown."""
        for secret in secrets:
            forms = {secret, secret.strip(), *(line.strip() for line in secret.splitlines())}
            forms |= {quote(each, safe="") for each in forms} | {quote_plus(each) for each in forms}
            forms |= {base64.b64encode(each.encode()).decode() for each in forms}
            self._secrets += [each for each in forms if len(each) >= _SHORTEST]
        self._secrets = sorted(
            set(self._secrets), key=len, reverse=True
        )  # the longest first: no rest remains

    def __call__(self, text: str) -> str:
        """The text without secrets and without control characters, in one line."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return printable(_USER.sub(r"\1", _QUERY.sub(r"\1", text)))


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


def configure_log(redactor: Redactor, *, as_json: bool) -> None:
    """To standard error, a line an event: all loggers of the process, those of libraries from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(redactor, as_json=as_json))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("modelward_fetch").setLevel(logging.INFO)
