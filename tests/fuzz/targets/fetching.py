"""Addresses of models, and what a pod says that it has fetched."""

import json
from typing import Any, Final

from fuzz.source import Source
from modelward.api.fetch_report import read_report
from modelward_fetch.failures import FetchFailed, Reason
from modelward_fetch.uri import SCHEMES, Location, explained, parse

_SHA: Final = "a" * 64
_PARTS: Final = (
    "models",
    "fraud",
    "org",
    "@main",
    "@",
    ":v1",
    ":",
    "/",
    "//",
    "..",
    "%2e%2e",
    "%2F",
    "?versionId=7",
    "?generation=1",
    "?sig=planted",
    "#x",
    "user:password@",
    f"@sha256:{_SHA}",
    "7",
    "[::1]",
    "169.254.169.254",
)
_WORDS: Final = (
    "Fetched",
    "Failed",
    "Pinned",
    "Mutable",
    "NotCovered",
    "NotFound",
    "ModelChanged",
    f"sha256:{_SHA}",
    "s3://models/fraud?versionId=7",
)
_FIELDS: Final = (
    "result",
    "resolved",
    "digest",
    "listing",
    "identity",
    "files",
    "bytes",
    "sourceMoved",
    "reason",
    "field",
    "message",
    "remedy",
)


def uri(data: bytes) -> None:
    """An address is refused in our words, or read again as the same from what it is written as; no path leads out."""
    source = Source(data)
    text = f"{source.pick((*SCHEMES, 'http', 'file', ''))}://" + "".join(
        source.pick(_PARTS) if source.chance() else source.text() for _ in range(1 + source.whole(5))
    )
    at = _parsed(text)
    if isinstance(at, FetchFailed):
        assert at.reason is Reason.INVALID_URI
        assert "planted" not in f"{at.message} {at.remedy}"
        return
    assert ".." not in at.path.partition("?")[0].split("/") or at.scheme == "https"
    again = parse(str(at))
    assert at.is_same_source(again), (at, again)
    assert (again.revision, again.is_alias) == (at.revision, at.is_alias)
    assert "planted" not in explained(at)


def _parsed(text: str) -> Location | FetchFailed:
    try:
        return parse(text)
    except FetchFailed as refused:
        return refused


def report(data: bytes) -> None:
    """A termination message is no report, or one within its bounds whose words can be shown."""
    source = Source(data)
    if source.chance():
        text = source.text()
    else:
        text = json.dumps({source.pick(_FIELDS): _value(source) for _ in range(source.whole(12))})
    found = read_report(text)
    if found is None:
        return
    assert found.words.isprintable()
    assert len(found.words) < 4096
    if found.succeeded:
        assert found.identity is not None
        assert found.resolved.isascii()


def _value(source: Source) -> Any:
    return source.pick((source.pick(_WORDS), source.text(), source.whole(10), -1, None, True, 1e300, [], {}))
