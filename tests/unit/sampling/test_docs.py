"""The page about metrics says what the code does: its samples are taken, its table is whole."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from modelward.analysis import idle
from modelward.analysis.sampled_evidence import Unknown
from modelward.api.analysis_policy import AnalysisPolicy
from modelward.api.pod import MetricsEndpoint
from modelward.api.signals import Signals
from modelward.clients import prometheus, scrape
from modelward.sampling import baseline, pods, selectors
from modelward.sampling.targets import sample_targets
from modelward.settings import MetricsSettings, load

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")


def _samples() -> list[Any]:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    return [yaml.safe_load(block) for block in blocks]


def test_the_runtime_on_the_page() -> None:
    """Its endpoint and signals are taken, and its selectors understood."""
    sample = _samples()[0]
    assert msgspec.convert(sample["metrics"], MetricsEndpoint).path == "/metrics"
    wanted = sample_targets(AnalysisPolicy(), msgspec.convert(sample["signals"], Signals))
    assert [each.name for each in wanted] == ["errors", "latency"]


def test_the_policy_on_the_page() -> None:
    """It selects the pods by a label that they carry."""
    sample = _samples()[1]
    assert sample["kind"] == "NetworkPolicy"
    assert sample["spec"]["podSelector"]["matchLabels"] == {"app.kubernetes.io/managed-by": "modelward"}


def test_the_settings_on_the_page(tmp_path: Path) -> None:
    """They are taken at start, and name every setting of a source."""
    sample = _samples()[2]
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(sample), encoding="utf-8")
    settings = load(file, {}).metrics
    assert settings.sources[0].name == "prometheus"
    assert sample["metrics"]["sources"][0].keys() == {
        each.encode_name for each in msgspec.structs.fields(settings.sources[0])
    }


@pytest.mark.parametrize("reason", list(Unknown), ids=str)
def test_every_reason_is_explained(reason: Unknown) -> None:
    """With what to do about it."""
    assert re.search(rf"^\| `{reason}` \| .+ \| .+ \|$", PAGE, re.MULTILINE)


def test_the_limits_on_the_page() -> None:
    """They are those of the code."""
    assert scrape.PAGE_LIMIT == 1024 * 1024
    assert scrape.TIMEOUT_SECONDS == MetricsSettings().scrape_timeout_seconds == 2
    assert prometheus.ANSWER_LIMIT == 8 * 1024 * 1024
    assert (selectors.MOST_CHARACTERS, selectors.MOST_MATCHERS) == (1024, 16)
    assert (pods.MOST_PODS, baseline.MOST_BASELINE_PODS) == (64, 8)
    assert (baseline.WINDOW_SECONDS, baseline.ROUND_SECONDS, MetricsSettings().scrapes_per_second) == (
        600,
        5,
        20,
    )
    assert idle.STALE_LEAST_SECONDS == 75
