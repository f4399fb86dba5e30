"""A fault that strikes nothing shows nothing: it is tried again at the last that came, and reported if it never strikes."""

from dataclasses import dataclass, field
from typing import Any

from faults.api_faults import FAULTS, OneRequest
from faults.crowd import OfOne, Trial
from faults.disturb import TRIES, Strikes, all_struck, missed
from faults.plan import Frame, Request
from faults.watch_faults import DeletionDropped, Dropped, OneEvent
from faults.workloads import BY_NAME

EVENT = b'{"type":"MODIFIED","object":{"kind":"Service","metadata":{"name":"crowd0001"}}}\n'


@dataclass
class Runs:
    """Stands for a crowd: each run has so many events or requests about each model."""

    lengths: list[int]
    ran: list[Strikes] = field(default_factory=list)

    def run(self, strikes: Strikes, _ends: Any) -> list[Trial]:
        """One run of all of them."""
        self.ran.append(strikes)
        length = self.lengths.pop(0)
        watch = Request(method="GET", path="/api/v1/services", target="", query={}, headers={})
        read = Request(method="GET", path="/api/v1/namespaces/n/services/m", target="", query={}, headers={})
        trials = []
        for workload, says, plan in strikes:
            for number in range(1, length + 1):
                plan.frame(watch, Frame(EVENT, number))
                plan.request(read)
            trials.append(Trial(workload, plan, says, scene=None))  # type: ignore[arg-type]  # nobody asks it
        return trials


def _strikes(*plans: OfOne) -> Strikes:
    return [(BY_NAME["good canary"], f"fault {number}", plan) for number, plan in enumerate(plans)]


def _run(crowd: Runs, *plans: OfOne, beside: Strikes | None = None) -> list[Trial]:
    return all_struck(crowd, _strikes(*plans), {}, beside)  # type: ignore[arg-type]


def test_what_strikes_is_run_once() -> None:
    """Nothing is left to be tried again."""
    crowd = Runs([9])
    trials = _run(crowd, Dropped(9), OneRequest(1, FAULTS["409"]))
    assert missed(trials) == []
    assert len(crowd.ran) == 1


def test_what_does_not_come_is_struck_at_the_last_that_does() -> None:
    """Events and requests alike, each with its own fault; the others are not run again."""
    crowd = Runs([7, 8])
    trials = _run(crowd, Dropped(9), Dropped(3), OneRequest(30, FAULTS["409"]))
    assert missed(trials) == []
    assert [each.says for each in trials] == ["fault 0", "fault 1", "fault 2"]
    assert [says for _, says, _ in crowd.ran[1]] == ["fault 0", "fault 2"]
    again = [plan for _, _, plan in crowd.ran[1]]
    assert isinstance(again[0], Dropped)
    assert again[0].number == 7
    assert isinstance(again[1], OneRequest)
    assert (again[1].number, again[1].fault) == (7, FAULTS["409"])


def test_what_never_strikes_is_reported() -> None:
    """After a few runs, each shorter than the one before; and at once where nothing came at all."""
    crowd = Runs([*range(TRIES + 5, 0, -1)])
    assert len(missed(_run(crowd, Dropped(99)))) == 1
    assert len(crowd.ran) == TRIES + 1
    for plan in (Dropped(1), DeletionDropped()):
        crowd = Runs([0])
        assert len(missed(_run(crowd, plan))) == 1
        assert len(crowd.ran) == 1


def test_what_runs_beside_them_is_run_once_and_comes_first() -> None:
    """It has no fault, so that none can strike."""
    crowd = Runs([7, 8])
    trials = _run(crowd, Dropped(9), beside=[(BY_NAME["delete"], "nothing", OneEvent(0))])
    assert [each.says for each in trials] == ["nothing", "fault 0"]
    assert [len(each) for each in crowd.ran] == [2, 1]
