"""What ends a demonstration early, said in a sentence or two; the class decides the exit code."""

from __future__ import annotations


class DemoError(Exception):
    """Something did not work. Exit code 1."""

    exit_code = 1


class RefusedError(DemoError):
    """Nothing was done: a consent or a setting is missing. Exit code 2."""

    exit_code = 2


class NotPossibleError(DemoError):
    """This machine, or this cluster, cannot show it. Exit code 3."""

    exit_code = 3
