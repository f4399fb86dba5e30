"""How far the pods of a revision are with fetching their model, in words."""

from typing import Final

from modelward.rollout.observed import Observed

_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def fetching(observed: Observed, revision: str) -> str:
    """How far the slowest pod is that fetches, in words; empty if none does."""
    pods = [pod for pod in observed.fetched_pods if pod.revision == revision and pod.fetching]
    reported = sorted(observed.progress[pod.name] for pod in pods if pod.name in observed.progress)
    if reported:
        return reported[0]
    return "fetching its model, progress unknown" if pods else ""


def amount(count: float) -> str:
    """As 1.3 GiB."""
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == _UNITS[0] else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"
