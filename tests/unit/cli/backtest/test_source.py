"""The past of a model from a server, as the command reads it: by manifest or selectors."""

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from modelward.errors import InvalidSettings
from modelward.sampling.targets import HistogramTarget, RatioTarget
from modelward_cli import main
from modelward_cli.backtest.subject import from_manifest, from_selectors
from support.little_prometheus import Timeseries, little_prometheus

STABLE = "mnpqrstvw4"
NOW = 1_763_800_000.0
MANIFEST = """
apiVersion: modelward.dev/v1alpha1
kind: ModelDeployment
metadata: {name: fraud, namespace: shop}
spec:
  runtime: {name: own}
  analysis: {tolerancePercent: 30}
---
apiVersion: modelward.dev/v1alpha1
kind: ModelRuntime
metadata: {name: own, namespace: shop}
spec:
  supportedFormats: [{name: onnx}]
  signals:
    errors: {hits: 'hits{code="5"}', total: hits}
    latency: {histogram: took, unit: Milliseconds}
  container: {image: example.com/own:1}
"""


def test_the_manifest_shows_what_to_read() -> None:
    """Name, signals of the runtime beside it, and the policy."""
    asked = from_manifest(MANIFEST)
    assert (asked.namespace, asked.name) == ("shop", "fraud")
    assert [type(each) for each in asked.wanted] == [RatioTarget, HistogramTarget]
    assert asked.policy == {"analysis": {"tolerancePercent": 30}}
    assert from_manifest(MANIFEST, "other", "name").namespace == "other"


@pytest.mark.parametrize(
    ("text", "problem_text"),
    [
        pytest.param("{", "not YAML", id="not YAML"),
        pytest.param("kind: Pod", "has 0 ModelDeployments", id="something else"),
        pytest.param(MANIFEST + "---" + MANIFEST, "has 2 ModelDeployments", id="two"),
        pytest.param(MANIFEST.partition("---")[0], "runtime must be in the file", id="without its runtime"),
        pytest.param(
            MANIFEST.replace("tolerancePercent: 30", "tolerancePercent: x"), "tolerancePercent", id="a field"
        ),
        pytest.param(MANIFEST.replace("total: hits", "total: 'rate(hits)'"), "total", id="PromQL"),
    ],
)
def test_a_manifest_that_cannot_be_used(text: str, problem_text: str) -> None:
    """The message says what is missing."""
    with pytest.raises(InvalidSettings, match=problem_text):
        from_manifest(text)


def test_selectors_show_it_too() -> None:
    """Errors need both counters."""
    asked = from_selectors("n", "m", {"histogram": "took", "unit": "Milliseconds"})
    assert isinstance(asked.wanted[0], HistogramTarget)
    assert asked.wanted[0].scale == 1e-3
    with pytest.raises(InvalidSettings, match="both"):
        from_selectors("n", "m", {"hits": "failed"})
    with pytest.raises(InvalidSettings, match="what to read"):
        from_selectors("n", "m", {})
    with pytest.raises(InvalidSettings, match=r"NAME.*errors\.hits"):
        from_selectors("n", "m", {"hits": "failed or x", "total": "y"})


def _series(name: str, pod: int, rate: float, **labels: str) -> Timeseries:
    named = f"fraud-{STABLE}-6c7b-fghi{pod}"
    own = {"__name__": name, "pod": named, "namespace": "shop", "job": "pods", "instance": named}
    # Pods are not in step: each fails at times of its own.
    return Timeseries(
        labels={**own, **labels}, value=lambda at: math.floor((at - NOW + 86400) * rate + 0.37 * pod)
    )


SERIES = [
    series
    for pod in range(3)
    for series in (
        _series("hits", pod, 10.0, code="2"),
        _series("hits", pod, 0.05, code="5"),
        *(
            _series("took_bucket", pod, rate, le=le)
            for le, rate in (("100", 9.0), ("500", 9.9), ("+Inf", 10.0))
        ),
    )
]
WHEN = ("--from", str(NOW - 2400), "--to", str(NOW), "--stable", STABLE)


async def _run(command: str, *arguments: Any) -> Result:
    async with little_prometheus(*SERIES) as server:
        every = ["backtest", command, "--prometheus", server.url, *arguments]
        return await asyncio.to_thread(CliRunner().invoke, main, every)


async def test_healthy_pods_out_of_a_server(tmp_path: Path) -> None:
    """In one command, with the signals of the manifest and the token of the file."""
    manifest, token = tmp_path / "model.yaml", tmp_path / "token"
    manifest.write_text(MANIFEST, encoding="utf-8")
    token.write_text("secret", encoding="ascii")
    short = ("--window-minutes", "10", "--reference-minutes", "20", "-o", "json")
    result = await _run("aa", *WHEN, "--manifest", str(manifest), "--token-file", str(token), *short)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["trials"], found["rolledBack"], set(found["phi"])) == (6, 0, {"errors", "latency"})


async def test_what_is_recorded_is_what_the_others_read(tmp_path: Path) -> None:
    """As a file it gives the same answer as the server."""
    asked = (
        "--namespace",
        "shop",
        "--model",
        "fraud",
        "--errors-hits",
        'hits{code="5"}',
        "--errors-total",
        "hits",
    )
    short = ("--window-minutes", "10", "--reference-minutes", "20")
    recorded = await _run("record", *WHEN, *asked)
    assert recorded.exit_code == 0, recorded.stderr
    assert len(recorded.stdout.splitlines()) == 1 + 161
    (tmp_path / "past.jsonl").write_bytes(recorded.stdout_bytes)
    from_file = CliRunner().invoke(main, ["backtest", "aa", str(tmp_path / "past.jsonl"), *short])
    assert from_file.stdout == (await _run("aa", *WHEN, *asked, *short)).stdout
    assert "0 of 6 healthy" in from_file.stdout
