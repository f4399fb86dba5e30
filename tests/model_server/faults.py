"""Faults on demand: what a bad model version does to its users, switched by environment or `PUT /faults`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from model_server import pages

ENV_PREFIX = "FAULT_"
CORRUPT_MODES = ("", "exit", "unready")  # none; the process ends; it stays up and is never ready
MODES = {"corrupt_model": CORRUPT_MODES, "metrics_page": pages.MODES}
RANGES: dict[str, tuple[float, float]] = {
    "error_rate": (0, 1),
    "added_latency_seconds": (0, 60),
    "latency_share": (0, 1),
    "latency_sigma": (0, 2),
    "score_shift": (-1, 1),
    "load_seconds": (0, 3600),
    "crash_after_requests": (0, 1_000_000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """One set of faults; the default is a healthy server."""

    error_rate: float = 0.0
    """Share (0-1) of inference requests answered 500."""
    added_latency_seconds: float = 0.0
    """Wait before an answer, for `latency_share` of the requests."""
    latency_share: float = 1.0
    latency_sigma: float = 0.0
    """The wait scatters log-normally around `added_latency_seconds`, its median; 0 is always the same wait."""
    score_shift: float = 0.0
    """Added to every score, which stays within 0-1."""
    load_seconds: float = 0.0
    """Wait before the model is loaded: live but not ready."""
    corrupt_model: str = ""
    """One of CORRUPT_MODES: what happens when the damaged file fails to load."""
    crash_after_requests: int = 0
    """So many inference requests are answered, the next one ends the process; 0 is never."""
    crash_on_start: bool = False
    metrics_page: str = ""
    """One of pages.MODES: what is wrong with `/metrics`."""


def faults_from_env(environ: Mapping[str, str]) -> Faults:
    """Faults named FAULT_ERROR_RATE and so on. Raises ValueError naming the variable."""
    known = {ENV_PREFIX + field.name.upper(): field.name for field in fields(Faults)}
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(ENV_PREFIX):
            continue
        if variable not in known:
            raise ValueError(f"{variable} is unknown; there are: {', '.join(known)}")
        name = known[variable]
        values[name] = text if name in MODES else _decoded(variable, text)
    return parse_faults(values)


def _decoded(variable: str, text: str) -> Any:
    try:
        return json.loads(text.strip().lower())
    except ValueError:
        raise ValueError(f"{variable} must be a number, true or false, not {text!r}") from None


def parse_faults(values: Any) -> Faults:
    """The whole set: what is not named is off. Raises ValueError with one sentence for people."""
    if not isinstance(values, dict):
        raise ValueError("faults must be a JSON object")  # noqa: TRY004 - one kind of error for one caller
    unknown = values.keys() - asdict(Faults()).keys()
    if unknown:
        raise ValueError(
            f"unknown fault {', '.join(sorted(unknown))}; there are: {', '.join(asdict(Faults()))}"
        )
    for name, value in values.items():
        _check(name, value)
    return Faults(**values)


def _check(name: str, value: Any) -> None:
    if name in MODES:
        if value not in MODES[name]:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, MODES[name]))}, not {value!r}")
    elif name == "crash_on_start":
        if not isinstance(value, bool):
            raise ValueError(f"crash_on_start must be true or false, not {value!r}")
    else:
        low, high = RANGES[name]
        wanted = int if name == "crash_after_requests" else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted) or not low <= value <= high:
            kind = "a whole number" if wanted is int else "a number"
            raise ValueError(f"{name} must be {kind} from {low} to {high}, not {value!r}")
