"""A sample of `make faults`: the operator is killed at writes of many workloads, and nothing is lost. Pods are kwok's."""

from pathlib import Path
from typing import Final

import pytest

from devcluster import Cluster
from faults.enumeration import Enumeration, of_names, sample
from faults.lane import Result
from faults.table import as_table, failures, reported

pytestmark = pytest.mark.slow

SEED: Final = 20_261_122
POINTS: Final = 8
LANES: Final = 2
BRIEF: Final = (
    "create",
    "bad canary",
    "abort",
    "autoscaling on and off",
    "delete in mid-canary",
    "A, B, A in mid-canary",
    "good canary by metrics of pods",
    "bad canary by metrics of Prometheus",
)
"""Workloads of a few seconds; test_killed.py has those that wait for steps to pass."""


def test_killed_at_a_sample_of_all_writes(cluster: Cluster, credentials: Path, tmp_path: Path) -> None:
    """What holds at every state holds, and the end is that of an undisturbed run."""
    results: list[Result] = []
    enumeration = Enumeration(cluster, credentials, tmp_path, LANES, results.append)
    enumeration.run(of_names(BRIEF), lambda points: sample(points, POINTS, SEED))
    print(as_table(results))
    assert not failures(results)
    calm, crashed = len(BRIEF), [result for result in results if result.crash]
    assert len(results) == calm + POINTS
    assert [reported(result) for result in crashed if not result.struck] == []
