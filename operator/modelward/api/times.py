"""Times as Kubernetes writes them: RFC 3339 in UTC, with seconds (metav1.Time) or microseconds (metav1.MicroTime).

Source: k8s.io/apimachinery/pkg/apis/meta/v1, time.go and micro_time.go.
"""

from datetime import UTC, datetime
from typing import Final

_YEARS: Final = range(1970, 9000)


def format_seconds(time: datetime) -> str:
    """`2026-11-22T15:12:00Z`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro(time: datetime) -> str:
    """`2026-11-22T15:12:00.000000Z`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> datetime:
    """The aware time that `text` means. Raises ValueError when it is not RFC 3339."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return time


def is_time(text: str) -> bool:
    """Whether the text is a time that can be counted with."""
    try:
        return parse(text).astimezone(UTC).year in _YEARS
    except (ValueError, OverflowError):
        return False
