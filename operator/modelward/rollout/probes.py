"""What is asked of each pod without any user: the probes of its template, and the reading of its metrics."""

from collections.abc import Mapping
from typing import Any, Final

from modelward.analysis.idle import Own

_PROBES: Final = ("readinessProbe", "livenessProbe")
"""The startup probe ends before there is traffic."""
_REQUESTS: Final = ("httpGet", "grpc")
"""Probes that a server answers as it does any request."""
_PERIOD_SECONDS: Final = 10.0
"""Kubernetes' default."""


def own_requests(template: Mapping[str, Any], interval_seconds: float) -> Own:
    """What the kubelet asks by a pod template, and one reading of the metrics in each interval."""
    containers = (template.get("spec") or {}).get("containers") or ()
    probes = [each[name] for each in containers for name in _PROBES if each.get(name)]
    periods = [
        float(probe.get("periodSeconds") or _PERIOD_SECONDS)
        for probe in probes
        if any(kind in probe for kind in _REQUESTS)
    ]
    periods.append(interval_seconds)
    return Own(per_second=sum(1 / period for period in periods), longest_seconds=max(periods))
