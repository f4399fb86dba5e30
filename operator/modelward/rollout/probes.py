"""What is asked of each pod without any user: the probes of its template, and the reading of its metrics."""

from collections.abc import Mapping
from typing import Any, Final

from modelward.analysis.idle import Own, Source
from modelward.api.analysis_policy import PODS

_PROBES: Final = ("readinessProbe", "livenessProbe")
"""The startup probe ends before there is traffic: what a pod counts until it is Ready is never of users."""
_REQUESTS: Final = ("httpGet", "grpc", "exec")
"""Probes that a server may answer as it does any request; a command may send one. A mere connection is none."""
_PERIOD_SECONDS: Final = 10.0
_TIMEOUT_SECONDS: Final = 1.0
"""Kubernetes' defaults."""
_MORE_SECONDS: Final = 0.5
"""Periods and intervals are whole seconds: so which of two is longer never depends on a reading's milliseconds."""
_SCRAPE_SECONDS: Final = 5.0
"""How often a metric source, or several replicas of it, may read a page at most: it does not say."""
_STALE_SECONDS: Final = 75.0
_STALE_INTERVALS: Final = 4
"""So old what a metric source knows may be (modelward.sampling.queries)."""


def own_requests(template: Mapping[str, Any], interval_seconds: float, source: str = PODS) -> Own:
    """What the kubelet asks by a pod template, and who reads the metrics: the operator, or a metric source."""
    containers = (template.get("spec") or {}).get("containers") or ()
    probes = [each[name] for each in containers for name in _PROBES if each.get(name)]
    late, scrape = 0.0, interval_seconds
    if source != PODS:
        late = max(_STALE_SECONDS, _STALE_INTERVALS * interval_seconds)
        scrape = min(interval_seconds, _SCRAPE_SECONDS)
    asked = [_source(probe, late) for probe in probes if any(kind in probe for kind in _REQUESTS)]
    read = Source(period_seconds=scrape, first_seconds=scrape + late + _MORE_SECONDS)
    return Own(sources=(*asked, read))


def _source(probe: Mapping[str, Any], late: float) -> Source:
    """A probe. One answer may take as long as it is allowed to, and the next one no time."""
    period = float(probe.get("periodSeconds") or _PERIOD_SECONDS)
    timeout = float(probe.get("timeoutSeconds") or _TIMEOUT_SECONDS)
    delay = float(probe.get("initialDelaySeconds") or 0)
    return Source(period_seconds=period, first_seconds=delay + period + timeout + late + _MORE_SECONDS)
