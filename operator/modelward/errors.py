"""The few exceptions of the project; each says whose fault it is and so what happens next.

A refusal that the user can fix is a *value* (`modelward.api.conditions.Blocked`), not an exception.
"""


class ModelwardError(Exception):
    """Base of all errors raised on purpose."""


class InvalidSpec(ModelwardError):
    """The user's object cannot be understood: shown as the condition `Stalled/InvalidSpec`, never retried.

    `path` is the field in the user's notation (`spec.rollout.steps[0].weightPercent`), `message` says what
    is wrong with it and what would be right.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


class InvalidSettings(ModelwardError):
    """The operator's own configuration is wrong: the process ends at start with this message."""


class InvalidState(ModelwardError):
    """The judge's memory cannot be read (another version wrote it, or a hand): judging begins anew."""


class InvalidLine(ModelwardError):
    """A line of a recorded stream cannot be used: it is said and left out, the others count."""


class ApiError(ModelwardError):
    """The API server refused or could not serve a request: the key is tried again with back-off."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        fields: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        """Seconds to wait as the server asked for (header Retry-After), or None."""
        self.fields = fields
        """Fields that an answer 422 names, such as `spec.type`."""

    @property
    def is_refusal(self) -> bool:
        """Whether nothing was stored for certain; otherwise nobody knows (500, or a page instead of an answer)."""
        return 400 <= self.status < 500


class NotFound(ApiError):
    """The object is not there (404)."""


class AlreadyExists(ApiError):
    """A create met an object of the same name (409, reason AlreadyExists)."""


class Conflict(ApiError):
    """The object is not the one the decision was made from (409): observe again, decide again."""


class Refused(ApiError):
    """Quota, admission, or a missing right refuse the request: shown as a condition, and tried again.

    The answer is 403 or 422; or 500, when a webhook that must be asked cannot be.
    """


class NamespaceTerminating(ApiError):
    """Nothing can be created any more, because the namespace is being deleted (403): not worth a warning."""


class Unreachable(ModelwardError):
    """No answer from the API server (connection refused, reset, timed out): tried again with back-off."""


class NotLeader(ModelwardError):
    """A write was not sent, because this process does not lead (any more): the one that leads will decide."""
