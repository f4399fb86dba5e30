"""Why a fetch ends without a model: one reason, the field it is about, and what to do.

Three exceptions say what happens next. `FetchFailed` ends the fetch. `Transient` is tried again until the time limit.
`SourceChanged` begins anew with a fresh listing, a few times.
"""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """In the report, and as the exit code of the program."""

    INVALID_URI = "InvalidUri"
    """The address cannot be understood, or the target folder cannot be used."""
    NOT_FOUND = "NotFound"
    DENIED = "Denied"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    MODEL_CHANGED = "ModelChanged"
    """The bytes are not those that this revision had before, or change while they are read."""
    NO_SPACE = "NoSpace"
    TOO_LARGE = "TooLarge"
    TIMEOUT = "Timeout"
    UNREACHABLE = "Unreachable"
    UNSAFE_ARCHIVE = "UnsafeArchive"
    FORMAT_UNKNOWN = "FormatUnknown"
    """An empty model, or an archive or image that is not what it says."""
    UNSAFE_NAME = "UnsafeName"
    """A name in the store that must not, or cannot, become a file below the target."""
    ADDRESS_REFUSED = "AddressRefused"
    """A link-local or metadata address, or plain http to another machine."""
    TARGET_IN_USE = "TargetInUse"
    """Another fetch runs, or the folder holds files that no fetch brought."""


EXIT_CODES: Final = {
    Reason.INVALID_URI: 2,
    Reason.NOT_FOUND: 10,
    Reason.DENIED: 11,
    Reason.CHECKSUM_MISMATCH: 12,
    Reason.MODEL_CHANGED: 13,
    Reason.NO_SPACE: 14,
    Reason.TOO_LARGE: 15,
    Reason.TIMEOUT: 16,
    Reason.UNREACHABLE: 17,
    Reason.UNSAFE_ARCHIVE: 18,
    Reason.FORMAT_UNKNOWN: 19,
    Reason.UNSAFE_NAME: 20,
    Reason.ADDRESS_REFUSED: 21,
    Reason.TARGET_IN_USE: 22,
}
"""Part of the contract with who starts the program: never used again for something else."""

EXIT_DEFECT: Final = 1
EXIT_TERMINATED: Final = 143


class FetchFailed(Exception):
    """The fetch is over. `field` is the field of the ModelDeployment that is to be checked."""

    def __init__(self, reason: Reason, message: str, *, remedy: str, field: str = "spec.model.uri") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.remedy = remedy
        self.field = field


class Transient(Exception):
    """This attempt failed, another one may not. The message names no secret and no query of an address."""

    def __init__(self, message: str, *, retry_after: float = 0.0, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.remedy = (
            remedy or "Check whether the store is up and whether a NetworkPolicy lets this pod reach it."
        )


class SourceChanged(Exception):
    """What is read is no longer what was listed."""


def denied(what: str, *, remedy: str = "") -> FetchFailed:
    """The store knows who asks, or that nobody does, and says no."""
    return FetchFailed(
        Reason.DENIED,
        what,
        remedy=remedy or "Check the credentials in the Secret, or the rights of the pod's identity.",
        field="spec.model.secretRef",
    )


def not_found(what: str, *, remedy: str = "") -> FetchFailed:
    """There is nothing under that name."""
    return FetchFailed(Reason.NOT_FOUND, what, remedy=remedy or "Check the address, letter by letter.")
