"""The golden stories. `UPDATE_GOLDEN=1 make golden` writes the files anew; read the difference before a commit."""

import os
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from golden.invariants import Invariants, end_state
from golden.scripts import SCRIPTS, Script
from modelward.rehearsal.simulation import Disturbance, Simulation, by_operator
from modelward.rehearsal.story import tell

STORIES = Path(__file__).parent / "stories"
QUIET_SECONDS = 600
SEEDS = range(2)
LONGEST_DELAY_SECONDS = 3.0

each_script = pytest.mark.parametrize("script", [pytest.param(script, id=script.title) for script in SCRIPTS])


def play(script: Script, disturbance: Disturbance | None = None) -> Simulation:
    """Play a story to its end, checking after every write; then nothing may be written any more."""
    simulation = Simulation(
        script.acts,
        load_seconds=dict(script.load_seconds),
        disturbance=disturbance,
        watch=Invariants(),
    )
    simulation.run(until=script.ends)
    told = len(simulation.writes)
    simulation.run(until=script.ends + QUIET_SECONDS)
    late = [(second, write.verb, write.place) for second, write in simulation.writes[told:]]
    assert late == [], "S11: written although nothing happens"
    return simulation


@cache
def undisturbed(title: str) -> Simulation:
    """The story as it is told."""
    return play(next(script for script in SCRIPTS if script.title == title))


def outcome(script: Script, simulation: Simulation) -> dict[str, Any]:
    """What the story came to, as far as it must always be the same."""
    return end_state(simulation, with_history=not script.races)


@each_script
def test_the_story_is_the_one_that_is_told(script: Script) -> None:
    """What changes, when and why: as in the file, word for word."""
    simulation = undisturbed(script.title)
    assert simulation.errors == [], "an undisturbed operator is never refused"
    told = f"{script.title}\n\n{tell(simulation)}"
    file = STORIES / f"{script.title.replace(',', '').replace(' ', '_')}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        STORIES.mkdir(exist_ok=True)
        file.write_text(told, encoding="utf-8")
    assert file.exists(), "write it with UPDATE_GOLDEN=1"
    assert told == file.read_text(encoding="utf-8")


def test_no_file_is_left_without_its_story() -> None:
    """A story that was renamed must not leave its old text behind."""
    expected = {f"{script.title.replace(',', '').replace(' ', '_')}.txt" for script in SCRIPTS}
    assert {path.name for path in STORIES.glob("*")} == expected


@pytest.mark.parametrize("seed", SEEDS)
@each_script
def test_late_and_shuffled_events_change_nothing(script: Script, seed: int) -> None:
    """L1: whatever order the events of the watches come in, and however late, the end is the same."""
    numbers = random.Random(seed)  # noqa: S311 - a seeded shuffle
    disturbance = Disturbance(delay_seconds=lambda: numbers.uniform(0.0, LONGEST_DELAY_SECONDS))
    assert outcome(script, play(script, disturbance)) == outcome(script, undisturbed(script.title))


@each_script
def test_a_crash_at_any_write_loses_nothing(script: Script) -> None:
    """L1: stopped between any two writes, the operator goes on from what the cluster tells."""
    whole = undisturbed(script.title)
    expected = outcome(script, whole)
    writes = sum(by_operator(write) for _, write in whole.writes)
    moments = [(0, "before"), *((number, "after") for number in range(writes))]
    for moment in moments:
        stopped = play(script, Disturbance(stops=lambda *at: at == moment))  # noqa: B023 - used at once
        assert outcome(script, stopped) == expected, f"stopped {moment[1]} write {moment[0]}"
