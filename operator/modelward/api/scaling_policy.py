"""How many pods: the autoscaler's bounds and targets."""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from modelward.api.fields import ApiStruct, QualifiedName, Quantity, Rule, list_map

DEFAULT_CPU_UTILIZATION_PERCENT = 80
"""Target when autoscaling names none; `kubectl autoscale` and the HPA's own default are 80, too."""

Utilization = Annotated[int, Meta(ge=1, le=1000)]
AutoscaledReplicas = Annotated[int, Meta(ge=1, le=10_000)]


class AutoscalingMetricType(StrEnum):
    """Where a metric of the autoscaler comes from, as in autoscaling/v2."""

    PODS = "Pods"
    EXTERNAL = "External"


class AutoscalingMetric(ApiStruct, frozen=True, kw_only=True):
    """A metric of autoscaling/v2 and the value per pod that is aimed at."""

    type: Annotated[
        AutoscalingMetricType,
        Meta(description="Pods: a metric of the pods. External: one of the metrics adapter. Required."),
    ]
    name: Annotated[QualifiedName, Meta(description="Name of the metric. Required.")]
    average_value: Annotated[Quantity, Meta(description="Value per pod that is aimed at. Required.")]


class Autoscaling(ApiStruct, frozen=True, kw_only=True):
    """An autoscaler for the pods; while it is set, spec.replicas is ignored."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression="(has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas",
            message="must be at least minReplicas",
            field="maxReplicas",
        ),
    )

    min_replicas: Annotated[AutoscaledReplicas, Meta(description="Fewest pods. Default 1.")] = 1
    max_replicas: Annotated[AutoscaledReplicas, Meta(description="Most pods. Required.")]
    cpu_utilization_percent: Annotated[
        Utilization | None,
        Meta(
            description="CPU use of the model's container aimed at, in percent of its request. Default 80 if no target is given."
        ),
    ] = None
    memory_utilization_percent: Annotated[
        Utilization | None,
        Meta(
            description="Memory use of the model's container aimed at, in percent of its request. Default: not a target."
        ),
    ] = None
    metrics: Annotated[
        tuple[AutoscalingMetric, ...],
        list_map(["type", "name"], 8),
        Meta(description="Further targets by metric. Default: none."),
    ] = ()
    scale_down_stabilization_seconds: Annotated[
        Annotated[int, Meta(ge=0, le=3600)],
        Meta(description="How long the need must be lower before pods are removed. Default 300."),
    ] = 300

    @property
    def cpu_target_percent(self) -> int | None:
        """CPU target in percent of the request, with the default; None if only others are given."""
        if self.cpu_utilization_percent or self.memory_utilization_percent or self.metrics:
            return self.cpu_utilization_percent
        return DEFAULT_CPU_UTILIZATION_PERCENT
