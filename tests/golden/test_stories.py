"""The golden stories. `UPDATE_GOLDEN=1 make golden` writes the files anew; read the difference before a commit.

Each story is played once as it is written, once with late and shuffled events, and once with the operator killed at one of
its writes, drawn by a seed. `make golden-all` (`GOLDEN=all`) kills it at every write and shuffles ten times: minutes.
"""

import os
import random
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from golden.invariants import Invariants, end_state, replicas_owned_beside_an_autoscaler
from golden.script import Script
from golden.scripts import SCRIPTS
from modelward.simulator.simulation import RESTART_SECONDS, Disturbance, Simulation, by_operator
from modelward.simulator.story import as_text

STORIES: Final = Path(__file__).parent / "stories"
QUIET_SECONDS: Final = 600
LONGEST_DELAY_SECONDS: Final = 3.0
LATE: Final = LONGEST_DELAY_SECONDS + RESTART_SECONDS + 1.0
"""How long the operator may go by what is not true any more."""
FIRST_READY_SECONDS: Final = 5.0
ALL: Final = os.environ.get("GOLDEN") == "all"
SEEDS: Final = range(10 if ALL else 1)
MOMENTS: Final = 10_000 if ALL else 1
"""Crashes of each story."""

each_script = pytest.mark.parametrize("script", [pytest.param(script, id=script.title) for script in SCRIPTS])
each_disturbed = pytest.mark.parametrize(
    "script", [pytest.param(script, id=script.title) for script in SCRIPTS if ALL or not script.long]
)


def play(script: Script, disturbance: Disturbance | None = None) -> Simulation:
    """Play a story to its end, checking after every write; then nothing may be written any more."""
    simulation = script.simulation(disturbance, Invariants(slack=LATE if disturbance else 0.0))
    simulation.run(until=script.ends)
    reported = len(simulation.happened)
    simulation.run(until=script.ends + QUIET_SECONDS)
    late = [each for each in simulation.happened[reported:] if not isinstance(each.what, str)]
    assert late == [], "S11: written although nothing happens"
    assert replicas_owned_beside_an_autoscaler(simulation) == [], "S7"
    return simulation


@cache
def undisturbed(title: str) -> Simulation:
    """The story as it is written."""
    return play(next(script for script in SCRIPTS if script.title == title))


def outcome(script: Script, simulation: Simulation) -> dict[str, Any]:
    """What the story came to, as far as it must always be the same."""
    return end_state(simulation, with_history=not script.races)


def file_of(script: Script) -> Path:
    """Where a story is kept."""
    return STORIES / f"{re.sub(r'[^a-zA-Z0-9 -]', '', script.title).replace(' ', '_')}.txt"


@each_script
def test_the_story_is_the_one_that_is_written(script: Script) -> None:
    """What changes, when and why: as in the file, word for word."""
    simulation = undisturbed(script.title)
    assert script.refused or simulation.errors == [], "an undisturbed operator is never refused"
    reported = f"{script.title}\n\n{as_text(simulation)}"
    file = file_of(script)
    if os.environ.get("UPDATE_GOLDEN"):
        STORIES.mkdir(exist_ok=True)
        file.write_text(reported, encoding="utf-8")
    assert file.exists(), "write it with UPDATE_GOLDEN=1"
    assert reported == file.read_text(encoding="utf-8")


def test_no_file_is_left_without_its_story() -> None:
    """A story that was renamed must not leave its old text behind."""
    assert set(STORIES.glob("*")) == {file_of(script) for script in SCRIPTS}


@pytest.mark.parametrize("script", [pytest.param(each, id=each.title) for each in SCRIPTS if not each.loses])
def test_no_request_is_lost_by_the_operator(script: Script) -> None:
    """Requests are lost until the first pods are ready, and while pods that crash are still trusted: no longer."""
    simulation = undisturbed(script.title)
    models = sum(1 for _ in simulation.server.find("ModelDeployment"))
    most = script.requests_per_second * models * (FIRST_READY_SECONDS + script.may_lose_seconds)
    assert simulation.traffic.lost <= most + 1e-6


@pytest.mark.parametrize("seed", SEEDS)
@each_disturbed
def test_late_and_shuffled_events_change_nothing(script: Script, seed: int) -> None:
    """L1: whatever order the events of the watches come in, and however late, the end is the same."""
    numbers = random.Random(seed)
    disturbance = Disturbance(delay_seconds=lambda: numbers.uniform(0.0, LONGEST_DELAY_SECONDS))
    assert outcome(script, play(script, disturbance)) == outcome(script, undisturbed(script.title))


@each_disturbed
def test_a_crash_at_any_write_loses_nothing(script: Script) -> None:
    """L1: stopped between two writes, the operator goes on from what the cluster shows."""
    whole = undisturbed(script.title)
    expected = outcome(script, whole)
    writes = sum(by_operator(write) for _, write in whole.writes)
    moments = [(0, "before"), *((number, "after") for number in range(writes))]
    drawn = random.Random(script.title).sample(moments, min(MOMENTS, len(moments)))
    for moment in drawn:
        stopped = play(script, Disturbance(stops=lambda *at: at == moment))  # noqa: B023 - used at once
        assert outcome(script, stopped) == expected, f"stopped {moment[1]} write {moment[0]}"
