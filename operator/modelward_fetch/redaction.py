"""Secrets stay where they are: what is printed, logged or reported goes through here.

Values of credentials are replaced wherever they occur, also as they stand in an address or an authorization header;
queries of addresses, which hold signatures, are cut off whoever wrote them.
"""

import base64
import re
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
