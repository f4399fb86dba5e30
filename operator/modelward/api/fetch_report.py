"""What the fetch container of a pod says at its end: the report of `modelward_fetch`, read from its termination message.

docs/fetch.md has the fields. What is read here was written in somebody's pod: an unknown word, a wrong type or a text
that is too long makes it no report, and nothing else.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from modelward.api.fields import EXACT_INT_MAX
from modelward.api.printable import printable

CONTAINER: Final = "fetch-model"
"""Name of the init container, by which its status is found."""
LARGEST_BYTES: Final = 4096
"""Of a termination message, as Kubernetes keeps it."""

ContentDigest = Annotated[str, Meta(max_length=71, pattern="^(sha256:[0-9a-f]{64})?$")]
ResolvedUri = Annotated[str, Meta(max_length=2048, pattern="^[!-~]*$")]
_Text = Annotated[str, Meta(max_length=1024)]
_Count = Annotated[int, Meta(ge=0, le=EXACT_INT_MAX)]


class Identity(StrEnum):
    """What the store promises about the bytes under the resolved address."""

    PINNED = "Pinned"
    """The same for ever: a commit, a digest, a version of an object."""
    MUTABLE = "Mutable"
    """They may be overwritten; a change is noticed, what was cannot be had again."""
    NOT_COVERED = "NotCovered"
    """Contents are not read: only names, sizes and times are compared."""


class FetchReason(StrEnum):
    """Why a model cannot be fetched, as the report says it (docs/fetch.md)."""

    INVALID_URI = "InvalidUri"
    NOT_FOUND = "NotFound"
    DENIED = "Denied"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    MODEL_CHANGED = "ModelChanged"
    NO_SPACE = "NoSpace"
    TOO_LARGE = "TooLarge"
    TIMEOUT = "Timeout"
    UNREACHABLE = "Unreachable"
    UNSAFE_ARCHIVE = "UnsafeArchive"
    FORMAT_UNKNOWN = "FormatUnknown"
    UNSAFE_NAME = "UnsafeName"
    ADDRESS_REFUSED = "AddressRefused"
    TARGET_IN_USE = "TargetInUse"


class FetchReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """A success if `reason` is None, else a failure. Other fields of the JSON are for people."""

    result: Annotated[str, Meta(max_length=32)]
    resolved: ResolvedUri = ""
    digest: ContentDigest = ""
    listing: ContentDigest = ""
    identity: Identity | None = None
    files: _Count = 0
    bytes: _Count = 0
    pinned: bool = False
    """A pin was there, and was followed."""
    source_moved: bool = False
    reason: FetchReason | None = None
    field: Annotated[str, Meta(max_length=128)] = ""
    message: _Text = ""
    remedy: _Text = ""

    @property
    def succeeded(self) -> bool:
        """Whether the model is in its place, and it is known which one."""
        return self.reason is None and self.result != "Failed" and self.identity is not None

    @property
    def words(self) -> str:
        """The failure in one phrase, with what to do; no full stop at its end."""
        remedy = f" {self.remedy}" if self.remedy else ""
        at = f" ({self.field})" if self.field else ""
        message = f"{self.message.rstrip('.')}.{remedy}".rstrip(".")
        return printable(f"its model cannot be fetched ({self.reason}): {message}{at}")


def read_report(text: str) -> FetchReport | None:
    """The report in a termination message; None if it is none."""
    if not text or len(text) > LARGEST_BYTES:
        return None
    try:
        return msgspec.json.decode(text, type=FetchReport)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
