"""One input and what came of it."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Target = Callable[[bytes], None]
"""What checks one input; whatever it raises is a finding."""

_FRAMES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An input that a target does not take, and why."""

    data: bytes
    sort: str
    """Type of the error and the place where it was raised: findings of one sort have one cause."""
    text: str
    """The end of the traceback."""


def tried(target: Target, data: bytes) -> Finding | None:
    """What is found with an input; None if all is well."""
    try:
        target(data)
    except Exception as error:  # noqa: BLE001 - the aim of it all is to see whatever is raised
        last = traceback.extract_tb(error.__traceback__, limit=-1)[0]
        return Finding(
            data=data,
            sort=f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}",
            text="".join(traceback.format_exception(error, limit=-_FRAMES)),
        )
    return None
