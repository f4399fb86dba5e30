"""What the server of a revision shows about itself: its signals, and where to read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import msgspec

from modelward.api.decode import without_nulls
from modelward.api.model_deployment import RuntimeOverrides
from modelward.api.pod import MetricsEndpoint, Ports
from modelward.api.revision import Revision
from modelward.api.signals import Signals
from modelward.errors import InvalidSpec
from modelward.runtimes.choose import pinned
from modelward.runtimes.render import model_variables, port_numbers

_NO_SIGNALS: Final = Signals()
_KEPT: Final = 4096
"""Revisions whose decoded runtime is kept in memory; each is asked for every few seconds while it rolls out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricEndpoints:
    """Signals and metrics page of a revision's pods, as it pinned them."""

    signals: Signals = _NO_SIGNALS
    port: int | None = None
    """Number of the port; None: the server shows no metrics."""
    path: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What $(MODEL_NAME) and the like stand for in its pods."""


def measured(revision: Revision) -> MetricEndpoints:
    """What the revision's server shows: the runtime's word, with what the user says instead of it."""
    return _metric_endpoints(_Pinned(revision))


class _Pinned:
    """A revision as a key: its name is the hash of what decides, its pinned runtime never changes."""

    __slots__ = ("revision",)

    def __init__(self, revision: Revision) -> None:
        self.revision = revision

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Pinned) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self.revision.name)

    def _identity(self) -> tuple[object, ...]:
        return self.revision.name, self.revision.runtime, self.revision.spec, self.revision.template


@lru_cache(maxsize=_KEPT)
def _metric_endpoints(key: _Pinned) -> MetricEndpoints:
    revision = key.revision
    try:
        runtime = pinned(revision.runtime).spec if revision.runtime else None
        overrides = msgspec.convert(without_nulls(revision.spec.get("runtime") or {}), RuntimeOverrides)
    except (InvalidSpec, KeyError, msgspec.ValidationError):
        return MetricEndpoints()
    signals = overrides.signals or (runtime.signals if runtime else None) or _NO_SIGNALS
    endpoint = overrides.metrics or (runtime.metrics if runtime else None)
    variables = model_variables(revision.template)
    if endpoint is None:
        return MetricEndpoints(signals=signals, variables=variables)
    base = runtime.container.ports if runtime else Ports()
    return MetricEndpoints(
        signals=signals,
        port=_port(endpoint, port_numbers(base, overrides.ports)),
        path=endpoint.path,
        variables=variables,
    )


def _port(endpoint: MetricsEndpoint, numbers: Mapping[str, int]) -> int:
    """Number of the endpoint's port. Not read from the pod, which names a number that two ports share only once."""
    return endpoint.port if isinstance(endpoint.port, int) else numbers.get(endpoint.port, numbers["http"])
