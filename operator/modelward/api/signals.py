"""Signals: the counters of a server by which a canary can be judged."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from modelward.api.fields import ApiStruct, Selector, SelectorSum


class Unit(StrEnum):
    """Unit of a latency histogram's bounds."""

    SECONDS = "Seconds"
    MILLISECONDS = "Milliseconds"
    MICROSECONDS = "Microseconds"


class RatioSignal(ApiStruct, frozen=True, kw_only=True):
    """A share of requests: hits of total."""

    hits: Annotated[
        SelectorSum,
        Meta(
            description="Counter of the bad cases, as NAME{LABELS}; a sum of at most eight, as NAME + NAME."
            " Required."
        ),
    ]
    total: Annotated[
        SelectorSum,
        Meta(
            description="Counter of all cases, as NAME{LABELS}; where successes and failures are counted apart,"
            " the sum of both. Required."
        ),
    ]


class LatencySignal(ApiStruct, frozen=True, kw_only=True):
    """A histogram of durations."""

    histogram: Annotated[
        Selector,
        Meta(description="Histogram without its suffix _bucket, as NAME{LABELS}. Required."),
    ]
    unit: Annotated[Unit, Meta(description="Unit of the histogram's bounds. Default Seconds.")] = Unit.SECONDS


class DistributionSignal(ApiStruct, frozen=True, kw_only=True):
    """A histogram of values that the model predicts, such as scores."""

    histogram: Annotated[
        Selector,
        Meta(description="Histogram without its suffix _bucket, as NAME{LABELS}. Required."),
    ]


class Signals(ApiStruct, frozen=True, kw_only=True):
    """What the judge uses by default. A signal the server lacks is left out."""

    errors: Annotated[
        RatioSignal | None, Meta(description="Failed requests of all requests. Default: not known.")
    ] = None
    latency: Annotated[
        LatencySignal | None, Meta(description="Duration of requests. Default: not known.")
    ] = None
    predictions: Annotated[
        DistributionSignal | None, Meta(description="Values that are predicted. Default: not known.")
    ] = None
