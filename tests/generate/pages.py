"""The generated pages of docs/reference, each as one string."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from generate import chart as charts
from generate import guarantees as promised
from generate import phase_diagrams
from generate.chart_values import Values
from generate.docstrings import of_attributes
from modelward.api.conditions import ConditionType, Reason
from modelward.cache.store import Store
from modelward.controller.metrics import Metrics
from modelward.rollout.phases import Phase, Trigger
from modelward.settings import Settings

_MARK: Final = "<!-- Generated from {source} by `make generate`. Do not edit. -->"


def phases() -> str:
    """The phases of a rollout: the diagrams, and a sentence for each phase and trigger."""
    return _page(
        "Phases of a rollout",
        "operator/modelward/rollout/phases.py",
        "Where a rollout is, and what may follow what. The phase is an internal word, stored in"
        " `status.rollout.state`; a model without a rollout is Serving and has no `status.rollout`.",
        "The way forward:",
        phase_diagrams.forward(),
        "What may happen in many phases, and the way back:",
        phase_diagrams.from_many(),
        _words("Phase", Phase),
        _words("Trigger", Trigger),
    )


def conditions() -> str:
    """Types and reasons of the conditions in status."""
    return _page(
        "Conditions",
        "operator/modelward/api/conditions.py",
        "The conditions in the status of a ModelDeployment, and their reasons. The reason of `Ready` is the"
        " column STATUS of `kubectl get`.",
        _words("Condition", ConditionType),
        _words("Reason", Reason),
    )


def guarantees() -> str:
    """What must hold, and what shows it. Raises LookupError when a row names a test that does not exist."""
    tables = promised.tables()
    if missing := promised.unknown(tables):
        raise LookupError(f"tests/generate/guarantees.toml names what is not there: {', '.join(missing)}")
    return _page(
        "Guarantees",
        "tests/generate/guarantees.toml",
        "What must hold for an operator that is trusted with production traffic, and how each point is shown: by"
        " which tests, on what ground, with what figure. `make generate` refuses a row that names a test that is"
        " not there. What is not proven is listed at the end.",
        *promised.parts(tables),
    )


def metrics() -> str:
    """The operator's own metrics."""
    rows = _metric_rows(Metrics(Store()).registry)
    return _page(
        "Metrics",
        "operator/modelward/controller/metrics.py",
        "What the operator shows about itself on `/metrics`, in the Prometheus text format or OpenMetrics.",
        _table(("Metric", "Type", "Labels", "Meaning"), rows),
    )


def settings() -> str:
    """Settings of the operator."""
    return _page(
        "Settings",
        "operator/modelward/settings.py",
        "Settings of the operator: a YAML file, `modelward run --settings FILE`. Flags win over the file;"
        " `modelward run --help` lists them. An unknown or wrong setting ends the process at start.",
        _table(("Setting", "Type", "Default", "Meaning"), _setting_rows(Settings, "")),
    )


def chart() -> str:
    """Values of the Helm chart."""
    fixed = ", ".join(f"`{each}`" for each in charts.FIXED)
    return _page(
        "Values of the Helm chart",
        "tests/generate/chart_values.py",
        "`helm install --set` and values files; [install](../install.md) says how. An unknown or wrong value is refused"
        " by the chart's schema. What is under `settings` is the operator's [settings](settings.md) file, checked by the"
        f" same rules; {fixed} are not taken, because the chart's manifests rely on what they are. The security contexts"
        " of the pods are no values.",
        _table(("Value", "Type", "Default", "Meaning"), _setting_rows(Values, "")),
    )


def _page(title: str, source: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", _MARK.format(source=source), *parts]) + "\n"


def _words(head: str, words: type[StrEnum]) -> str:
    sentences = of_attributes(words)
    missing = [word.name for word in words if word.name not in sentences]
    if missing:
        raise LookupError(f"{words.__name__}: no docstring under {', '.join(missing)}")
    return _table((head, "Meaning"), [(f"`{word}`", sentences[word.name]) for word in words])


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _metric_row(metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
    # Counters drop the suffix in their name and carry it in their samples.
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    return f"`{name}`", metric.type, ", ".join(f"`{label}`" for label in labels), metric.documentation


def _metric_rows(registry: CollectorRegistry) -> Iterator[tuple[str, ...]]:
    """One row each. A labelled metric has no samples yet, so the names come from where they are declared."""
    declared = {
        getattr(each, "_name", ""): tuple(getattr(each, "_labelnames", ()))
        for each in registry._collector_to_names
    }
    for metric in registry.collect():
        labels = declared.get(metric.name) or tuple(getattr(metric, "_labelnames", ()))
        yield _metric_row(metric, labels)


def _setting_rows(struct: type[msgspec.Struct], prefix: str) -> Iterator[tuple[str, ...]]:
    sentences = of_attributes(struct)
    for field in msgspec.structs.fields(struct):
        name = prefix + field.encode_name
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _setting_rows(field.type, f"{name}.")
            continue
        yield (
            f"`{name}`",
            _type(field.type),
            f"`{_shown(charts.default(field))}`",
            sentences.get(field.name, ""),
        )


def _type(annotation: Any) -> str:
    schema = msgspec.json.schema(annotation)
    if choices := schema.get("enum"):
        return "one of " + ", ".join(f"`{each}`" for each in choices)
    words = {"array": "list", "integer": "whole number", "boolean": "true or false", "object": "map"}
    bounds = [f"at least {schema['minimum']}"] if "minimum" in schema else []
    bounds += [f"at most {schema['maximum']}"] if "maximum" in schema else []
    if choice := schema.get("pattern", ""):
        bounds.append(f"`{choice}`")
    kind = words.get(schema["type"], schema["type"])
    return ", ".join([kind, *bounds])


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()
