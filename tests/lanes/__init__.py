"""Lanes: tests that mostly wait run side by side, each lane a process with a cluster of its own.

A lane is a worker of pytest-xdist. Nothing is shared between lanes but the machine: a test that has the only
operator of its cluster, its Lease and its CRDs, has them in a lane, too. `python -m lanes` runs them.
"""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

from devcluster import versions

SECONDS: Final = Path(__file__).with_name("seconds.json")
"""How long each module took when it was last measured (`python -m lanes --measure`): the longest are begun first."""
DEFAULT: Final = 3
"""Lanes on two cores, which they keep busy. Four would want more inotify instances than a user has (see devcluster.limits)."""
PROCESSOR: Final = "processor"
"""Property of a test in pytest's report: seconds that it and all of its lane computed."""
UNKNOWN_SECONDS: Final = 60
ONE_AT_A_TIME: Final = ("test_devcluster", "test_chart_lifecycle")
"""Modules that bring up clusters of their own: in one lane, or they would not all fit beside the lanes' own."""


def cluster_name(environment: Mapping[str, str]) -> str:
    """The cluster of this process: `test`, of another version of Kubernetes `test-1-34`, of a lane `test-0`."""
    minor = versions.chosen(environment)
    name = "test" if minor == versions.DEFAULT else f"test-{minor.replace('.', '-')}"
    name = environment.get("MODELWARD_TEST_CLUSTER") or name
    lane = environment.get("PYTEST_XDIST_WORKER", "")
    return f"{name}-{lane.removeprefix('gw')}" if lane else name


def arrange(items: list[pytest.Item], seed: int | None) -> None:
    """Sort tests for the lanes: the longest modules first, or in an order drawn from `seed`.

    Tests of a module stay together. Each keeps its place in the module unless the order is drawn.
    """
    rank = _rank({_module(item.nodeid) for item in items}, seed)
    chance = random.Random(seed)
    within = {item: chance.random() if seed is not None else 0 for item in items}
    items.sort(key=lambda item: (rank(_module(item.nodeid)), within[item]))


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """Hands whole modules to lanes, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        """What is not to be torn apart."""
        module = _module(nodeid)
        return "clusters" if Path(module).name in ONE_AT_A_TIME else module


def known_seconds() -> dict[str, int]:
    """Seconds of each module when it was last measured."""
    return dict(json.loads(SECONDS.read_text(encoding="utf-8"))) if SECONDS.exists() else {}


def _rank(modules: set[str], seed: int | None) -> Callable[[str], float]:
    if seed is not None:
        drawn = sorted(modules)
        random.Random(seed).shuffle(drawn)
        return drawn.index
    seconds = known_seconds()
    longest = sorted(sorted(modules), key=lambda module: -seconds.get(module, UNKNOWN_SECONDS))
    return longest.index


def _module(nodeid: str) -> str:
    """The module of a test, as `tests/cluster/test_people`."""
    return nodeid.partition("::")[0].removesuffix(".py")
