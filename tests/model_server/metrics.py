"""What a judge of this model may read: requests, errors, latency and scores."""

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics

LABELS = ("model_name", "model_version")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


class Metrics:
    """All series, present at 0 from the start: the difference of a counter cannot see a first sample of 1."""

    def __init__(self, model_name: str, model_version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        of = {"model_name": model_name, "model_version": model_version}
        requests = Counter("model_requests", "Inference requests answered.", LABELS, registry=registry)
        self.requests = requests.labels(**of)
        errors = Counter("model_request_errors", "Those answered 5xx.", LABELS, registry=registry)
        self.errors = errors.labels(**of)
        refused = Counter("model_requests_refused", "Those answered 4xx.", LABELS, registry=registry)
        self.refused = refused.labels(**of)
        latency = Histogram(
            "model_request_duration_seconds", "Time to an answer.", LABELS, registry=registry, buckets=SECONDS
        )
        self.latency = latency.labels(**of)
        predictions = Histogram(
            "model_prediction_score", "Scores, one per row.", LABELS, registry=registry, buckets=SCORES
        )
        self.predictions = predictions.labels(**of)
