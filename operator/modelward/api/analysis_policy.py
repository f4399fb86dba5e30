"""How a canary is judged: source, strictness and metrics."""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from modelward.api.fields import (
    ApiStruct,
    DnsLabel,
    Rule,
    RuleReason,
    Selector,
    SelectorSum,
    list_map,
    worded,
)
from modelward.api.signals import Unit

PODS = "Pods"
"""The source that scrapes the pods directly."""


class SignalName(StrEnum):
    """A signal of the runtime; the values are field names of `Signals`."""

    ERRORS = "errors"
    LATENCY = "latency"
    PREDICTIONS = "predictions"


class MetricKind(StrEnum):
    """The test a metric is put to."""

    RATIO = "Ratio"
    LATENCY = "Latency"
    DISTRIBUTION = "Distribution"
    GUARD = "Guard"
    GAUGE = "Gauge"


class Direction(StrEnum):
    """Which way is better."""

    LOWER_IS_BETTER = "LowerIsBetter"
    HIGHER_IS_BETTER = "HigherIsBetter"


class MetricAction(StrEnum):
    """What evidence against the canary leads to."""

    ROLL_BACK = "RollBack"
    HOLD = "Hold"


_OWN_SELECTORS = (
    "(has(self.hits) || has(self.total) ? 1 : 0) + (has(self.histogram) ? 1 : 0) + (has(self.gauge) ? 1 : 0)"
)
_FITTING = (
    "!has(self.kind)"
    " || (self.kind in ['Ratio', 'Guard'] && (has(self.hits) || has(self.signal) && self.signal == 'errors'))"
    " || (self.kind == 'Latency' && (has(self.histogram) || has(self.signal) && self.signal == 'latency'))"
    " || (self.kind == 'Distribution' && (has(self.histogram) || has(self.signal) && self.signal == 'predictions'))"
    " || (self.kind == 'Gauge' && has(self.gauge))"
)
Tolerance = Annotated[int, Meta(ge=0, le=1000)]
LimitPercent = Annotated[
    str,
    Meta(min_length=1, max_length=16),
    worded(
        r"^(100|[0-9]{1,2}(\.[0-9]{1,4})?)$",
        'must be a decimal from "0" to "100" with at most four places, such as "0.5"',
    ),
]
ConfidencePercent = Annotated[
    str,
    Meta(min_length=1, max_length=16),
    worded(r"^[5-9][0-9](\.[0-9]{1,3})?$", 'must be a decimal from "50" to "99.999", such as "99"'),
]


class Metric(ApiStruct, frozen=True, kw_only=True):
    """One thing that is compared between canary and stable."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression=f"(has(self.signal) ? 1 : 0) + {_OWN_SELECTORS} == 1",
            message="must have exactly one of signal, hits with total, histogram, and gauge",
        ),
        Rule(
            expression="has(self.hits) == has(self.total)",
            message="must have hits and total together",
        ),
        Rule(
            expression="has(self.signal) || has(self.kind)",
            message="must be given for selectors of your own: Ratio, Latency, Distribution, Guard or Gauge",
            field="kind",
            reason=RuleReason.REQUIRED,
        ),
        Rule(
            expression=_FITTING,
            message="must fit what is measured: Ratio and Guard take hits and total or the signal errors, Latency"
            " a histogram or the signal latency, Distribution a histogram or the signal predictions, Gauge a gauge",
            field="kind",
        ),
        Rule(
            expression="(has(self.kind) && self.kind == 'Guard') == has(self.limitPercent)",
            message="must be given with the kind Guard, and only with it",
            field="limitPercent",
        ),
        Rule(
            expression="!has(self.kind) || self.kind != 'Gauge' || (has(self.direction) && has(self.tolerancePercent))",
            message="must have direction and tolerancePercent with the kind Gauge",
        ),
        Rule(
            expression="!has(self.unit) || (has(self.kind) && self.kind == 'Latency' && has(self.histogram))",
            message="must only be given with the kind Latency and a histogram of your own",
            field="unit",
            reason=RuleReason.FORBIDDEN,
        ),
    )

    name: Annotated[DnsLabel, Meta(description="Name of the metric in status and messages. Required.")]
    signal: Annotated[
        SignalName | None,
        Meta(description="A signal that the runtime declares, instead of selectors. Default: none."),
    ] = None
    kind: Annotated[
        MetricKind | None,
        Meta(
            description="The test. Default with a signal: Ratio for errors, Latency for latency,"
            " Distribution for predictions. Required with selectors."
        ),
    ] = None
    hits: Annotated[
        SelectorSum | None,
        Meta(
            description="Counter of the cases that count, as NAME{LABELS}; a sum of at most eight, as NAME + NAME."
            " Goes with total. Default: none."
        ),
    ] = None
    total: Annotated[
        SelectorSum | None,
        Meta(
            description="Counter of all cases, as NAME{LABELS}; where successes and failures are counted apart, the"
            " sum of both. Goes with hits. Default: none."
        ),
    ] = None
    histogram: Annotated[
        Selector | None,
        Meta(description="Histogram without its suffix _bucket, as NAME{LABELS}. Default: none."),
    ] = None
    gauge: Annotated[Selector | None, Meta(description="Gauge, as NAME{LABELS}. Default: none.")] = None
    unit: Annotated[
        Unit | None, Meta(description="Unit of an own latency histogram's bounds. Default Seconds.")
    ] = None
    direction: Annotated[
        Direction | None,
        Meta(description="Which way is better. Default LowerIsBetter; required with the kind Gauge."),
    ] = None
    tolerance_percent: Annotated[
        Tolerance | None,
        Meta(
            description="How much worse still counts as the same. Default: analysis.tolerancePercent,"
            " 50 for a Distribution; required with the kind Gauge."
        ),
    ] = None
    limit_percent: Annotated[
        LimitPercent | None,
        Meta(
            description='Share of the canary\'s requests that must not be exceeded, a decimal such as "2" or'
            ' "0.5". Required with the kind Guard, else refused.'
        ),
    ] = None
    share: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(
            description="Weight of this metric's evidence relative to the others' shares. Default: errors"
            " count as much as all others together."
        ),
    ] = None
    action: Annotated[
        MetricAction | None,
        Meta(
            description="RollBack, or Hold to stop the promotion only. Default: Hold for a Distribution,"
            " else RollBack."
        ),
    ] = None
    dry_run: Annotated[
        bool, Meta(description="Measure and report, without an effect on the rollout. Default false.")
    ] = False


class AnalysisPolicy(ApiStruct, frozen=True, kw_only=True):
    """How a canary is judged against stable."""

    source: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=63,
            pattern="^(Pods|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$",
            description="Pods to read the metrics of the pods directly, or the name of a metric source in the"
            " operator's configuration. Default Pods.",
        ),
    ] = PODS
    interval_seconds: Annotated[
        Annotated[int, Meta(ge=1, le=3600)] | None,
        Meta(description="Time between two polls. Default 5 with Pods, 15 with a metric source."),
    ] = None
    confidence_percent: Annotated[
        ConfidencePercent,
        Meta(
            description='Certainty that a rollback is deserved, a decimal from "50" to "99.999": with "99" at'
            ' most 1 % of the rollouts of a good version are rolled back. Default "99".',
        ),
    ] = "99"
    tolerance_percent: Annotated[
        Tolerance,
        Meta(description="How much worse counts as the same: 25 is an odds ratio of 1.25. Default 25."),
    ] = 25
    metrics: Annotated[
        tuple[Metric, ...],
        list_map(["name"], 16),
        Meta(description="What is compared. Default: every signal that the runtime declares."),
    ] = ()
