"""What can go wrong, said in one line together with the remedy; the class decides the exit code."""

from __future__ import annotations


class DevclusterError(Exception):
    """Something failed while building, starting or stopping. Exit code 1."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}. {remedy}" if remedy else message)


class NotRunningError(DevclusterError):
    """The cluster asked for does not exist or does not run. Exit code 3."""

    exit_code = 3


class PrerequisiteError(DevclusterError):
    """This machine lacks something that the tool cannot provide by itself. Exit code 4."""

    exit_code = 4
