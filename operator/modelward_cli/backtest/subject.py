"""What is to be read of a model's past: from its manifest, or from selectors on the command line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import yaml

from modelward.analysis.sampled_evidence import MetricsUnknown
from modelward.api.analysis_policy import AnalysisPolicy
from modelward.api.conditions import Blocked
from modelward.api.decode import decode_spec
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.signals import Signals
from modelward.errors import InvalidSettings, InvalidSpec
from modelward.runtimes.choose import CLUSTER_KIND, NAMESPACED_KIND, Runtime, choose
from modelward.sampling.targets import SampleTarget, sample_targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A model, and what to read of it."""

    namespace: str
    name: str
    wanted: tuple[SampleTarget, ...]
    policy: Mapping[str, Any] = field(default_factory=dict)
    """spec.analysis and spec.rollout as the user gave them."""


def from_manifest(text: str, namespace: str | None = None, name: str | None = None) -> Asked:
    """The one ModelDeployment of `text`; its runtime may be there, too. Raises InvalidSettings."""
    try:
        documents = [each for each in yaml.safe_load_all(text) if isinstance(each, dict)]
    except yaml.YAMLError as error:
        raise InvalidSettings(f"manifest: not YAML: {error}") from error
    models = [each for each in documents if each.get("kind") == "ModelDeployment"]
    if len(models) != 1:
        raise InvalidSettings(f"manifest: has {len(models)} ModelDeployments, must have one")
    metadata, raw = models[0].get("metadata") or {}, models[0].get("spec") or {}
    name = name or str(metadata.get("name") or "")
    try:
        spec = decode_spec(raw)
        # What else pods have in their variables belongs to a revision, and the past has many.
        variables = {"MODEL_NAME": (spec.model.name if spec.model else None) or name}
        wanted = sample_targets(spec.analysis, _signals(spec, list(_runtimes(documents))), variables)
    except InvalidSpec as error:
        raise InvalidSettings(f"manifest: {error}") from error
    except MetricsUnknown as unknown:
        raise InvalidSettings(f"manifest: {unknown.problem.message}") from unknown
    if not wanted:
        raise InvalidSettings("manifest: neither the model nor its runtime says what to judge by (signals)")
    policy = {part: raw[part] for part in ("analysis", "rollout") if raw.get(part)}
    return Asked(
        namespace=namespace or str(metadata.get("namespace") or "default"),
        name=name,
        wanted=wanted,
        policy=policy,
    )


def _runtimes(documents: list[dict[str, Any]]) -> Iterator[Runtime]:
    for each in documents:
        if each.get("kind") in {NAMESPACED_KIND, CLUSTER_KIND}:
            name = str((each.get("metadata") or {}).get("name", ""))
            yield Runtime(kind=each["kind"], name=name, spec=each.get("spec") or {})


def _signals(spec: ModelDeploymentSpec, runtimes: list[Runtime]) -> Signals:
    """The user's word, else that of the runtime. Raises InvalidSettings if it is needed and not in the file."""
    if spec.runtime and spec.runtime.signals:
        return spec.runtime.signals
    metrics = spec.analysis.metrics
    if metrics and not any(metric.signal for metric in metrics):
        return Signals()
    chosen = choose(spec, runtimes)
    if isinstance(chosen, Blocked):
        raise InvalidSettings(
            f"manifest: {chosen.message} The model's runtime must be in the file, or spec.runtime.signals be set"
        )
    return chosen.spec.signals or Signals()


def from_selectors(namespace: str, name: str, selectors: Mapping[str, str | None]) -> Asked:
    """A model whose signals are given by name: hits, total, histogram, unit. Raises InvalidSettings."""
    signals: dict[str, Any] = {}
    if bool(selectors.get("hits")) != bool(selectors.get("total")):
        raise InvalidSettings("errors need both --errors-hits and --errors-total")
    if selectors.get("hits") or selectors.get("total"):
        signals["errors"] = {key: selectors[key] for key in ("hits", "total") if selectors.get(key)}
    if selectors.get("histogram"):
        signals["latency"] = {"histogram": selectors["histogram"], "unit": selectors.get("unit") or "Seconds"}
    try:
        wanted = sample_targets(AnalysisPolicy(), msgspec.convert(signals, Signals), {"MODEL_NAME": name})
    except MetricsUnknown as unknown:
        raise InvalidSettings(unknown.problem.message.removeprefix("runtime signals.")) from unknown
    except msgspec.ValidationError as error:
        raise InvalidSettings(f'a selector is NAME or NAME{{label="value"}}: {error}') from error
    if not wanted:
        raise InvalidSettings("say what to read: --manifest, or --errors-hits and --errors-total")
    return Asked(namespace=namespace, name=name, wanted=wanted)
