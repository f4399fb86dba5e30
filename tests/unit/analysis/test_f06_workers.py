"""Several workers behind one port: counters that jump are not one counter, in any order and for any number of workers."""

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelward.analysis.counters import Counters, RatioCounts, Sample
from modelward.analysis.noise import Noise
from modelward.analysis.policy import MetricPolicy
from modelward.analysis.readings import Arm, HistogramReading, PodReading, Poll, RatioReading, Reading
from modelward.analysis.tracks import Flaw, Origin, Track, begun
from modelward.api.analysis_policy import MetricKind
from modelward_cli.judge.protocol import Header, parsed
from modelward_cli.judge.replay import Replay, Said, Word
from support.repeatable import examples

SINCE = Origin(container=1.0)
Numbers = Sequence[float]


def tracked(numbers: Iterable[float], origins: Iterable[Origin] | None = None) -> list[Track]:
    """What is known of a counter after each of these readings."""
    shown = [RatioReading(hits=0, total=number) for number in numbers]
    of = list(origins) if origins else [SINCE] * len(shown)
    tracks = [begun(shown[0], of[0], shown[0])]
    for now, origin in zip(shown[1:], of[1:], strict=True):
        tracks.append(tracks[-1].plus(now, origin))
    return tracks


def bases(tracks: Iterable[Track]) -> list[float | None]:
    """The total that each reading counts from; None: from zero."""
    return [track.base.total if isinstance(track.base, RatioReading) else None for track in tracks]


def test_f06_a_fall_without_a_restart_makes_a_counter_unknown_until_it_passes_its_height() -> None:
    """What it did meanwhile counts from there."""
    tracks = tracked([100, 110, 20, 90, 109, 110, 130])
    assert [track.is_believed for track in tracks] == [True, True, False, False, False, False, True]
    assert tracks[-1].base == RatioReading(hits=0, total=110)
    assert tracks[-1].flaw is None


@given(
    workers=st.lists(st.integers(0, 100_000), min_size=2, max_size=8, unique=True),
    order=st.lists(st.integers(0, 7), min_size=2, max_size=40),
)
def test_f06_the_second_fall_is_one_too_many_in_any_order_of_any_workers(
    workers: list[int], order: list[int]
) -> None:
    """And nothing makes the counter one again, while the container runs on."""
    numbers = [workers[each % len(workers)] for each in order]
    falls = sum(after < before for before, after in pairwise(numbers))
    last = tracked(numbers)[-1]
    assert last.falls == falls
    assert (last.flaw is Flaw.JUMPS) == (falls >= 2)


def test_f06_a_restart_of_the_container_is_a_reset_as_often_as_it_happens() -> None:
    """Crash loops are no workers. Where nothing fell it goes on from what was counted."""
    origins = [Origin(container=float(number)) for number in range(1, 7)]
    tracks = tracked([50, 40, 60, 10, 90, 5], origins)
    assert all(track.is_believed for track in tracks)
    assert bases(tracks[1:]) == [None, 40, None, 10, None]


def test_f06_a_restart_that_is_known_before_the_counter_falls_excuses_that_fall() -> None:
    """The last scrape of a metric source is older than what the watch says of the pod."""
    tracks = tracked(
        [1000, 1005, 1006, 3, 50], [Origin(container=start) for start in (1.0, 1.0, 2.0, 2.0, 2.0)]
    )
    assert all(track.is_believed for track in tracks)
    assert bases(tracks[1:]) == [1000, 1005, None, 3]


def test_f06_a_restart_of_the_container_excuses_a_fall_beside_several_processes() -> None:
    """The kubelet shows it; process starts that alternate do not take that away."""
    starts = [(1.0, 101.0), (1.0, 112.0), (1.0, 101.0), (2.0, 203.0), (3.0, 214.0)]
    tracks = tracked([100, 110, 120, 5, 3], [Origin(container=one, process=other) for one, other in starts])
    assert tracks[2].several
    assert [track.is_believed for track in tracks] == [True, False, False, True, True]
    assert tracks[-1].falls == 0


def test_f06_a_later_start_of_the_process_is_a_reset() -> None:
    """The container runs on: something in it began anew."""
    origins = [Origin(1.0, process) for process in (2.0, 2.0, 9.0, 9.0, 30.0)]
    tracks = tracked([50, 60, 7, 17, 3], origins)
    assert all(track.is_believed for track in tracks)
    assert [track.base and track.last for track in tracks[2:]] == [None, RatioReading(hits=0, total=17), None]


@given(st.randoms(use_true_random=False), st.integers(2, 6))
def test_f06_start_times_that_go_back_are_those_of_several_processes(
    draw: random.Random, number: int
) -> None:
    """They excuse no fall, nor those that they have excused."""
    workers = [(draw.uniform(0, 9999), draw.uniform(2, 99)) for _ in range(number)]
    rounds = [each for _ in range(4) for each in draw.sample(workers, number)]
    tracks = tracked([n for n, _ in rounds], [Origin(1.0, start) for _, start in rounds])
    starts = [start for _, start in rounds]
    falls = sum(b < a for (a, _), (b, _) in pairwise(rounds))
    if falls >= 2 and any(b < a for a, b in pairwise(starts)):
        assert tracks[-1].flaw is Flaw.JUMPS


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([1000, 100, 1000, 100, 1000], id="idle"),
        pytest.param([100, 1000, 400, 100, 1000, 400, 1000], id="three"),
        pytest.param([500, 490, 505, 495], id="nearly equal"),
    ],
)
def test_f06_jumps_show_even_where_no_start_is_known(numbers: Numbers) -> None:
    """A counter that has just begun does not halve only, and is not back at its height at one bound."""
    assert tracked(numbers, [Origin()] * len(numbers))[-1].flaw is Flaw.JUMPS


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param(
            [15, 30, 5, 20, 35, 10, 25, 15, 30, 5, 20, 35], id="crashes every 40 s, read every 15 s"
        ),
        pytest.param([5000, 5100, 80, 180, 60, 160, 260], id="two restarts"),
        pytest.param([0, 3, 1, 4, 2, 5, 1], id="a few requests"),
    ],
)
def test_f06_restarts_of_which_nobody_knows_are_resets(numbers: Numbers) -> None:
    """As recordings have them."""
    tracks = tracked(numbers, [Origin()] * len(numbers))
    assert all(track.is_believed for track in tracks)


# --- counters -----------------------------------------------------------------------------------------------


def pod(name: str, metrics: dict[str, Reading], **fields: Any) -> PodReading:
    """A pod that runs since time 1; its name begins with its arm."""
    arm = Arm.CANARY if name.startswith("canary") else Arm.STABLE
    return PodReading(pod=name, arm=arm, metrics=metrics, started=1.0, **fields)


def sampled(polls: Iterable[Poll]) -> tuple[list[Sample | None], Counters]:
    """What each poll completes, and what is known after the last."""
    counters, made = Counters(), []
    for poll in polls:
        counters, sample = counters.advance(poll)
        made.append(sample)
    return made, counters


def test_f06_one_metric_jumps_and_another_does_not() -> None:
    """Only the one that jumps is invalid."""
    polls = []
    for number, jumping in enumerate((1000, 100, 1000, 100, 1000)):
        steady = HistogramReading(buckets={0.1: 9.0 * number, float("inf"): 10.0 * number})
        metrics: dict[str, Reading] = {"errors": RatioReading(hits=0, total=jumping), "latency": steady}
        stable: dict[str, Reading] = {"errors": RatioReading(hits=0, total=100 * number), "latency": steady}
        polls.append(
            Poll(
                time=5.0 * number, weight_percent=10, pods=(pod("canary-1", metrics), pod("stable-1", stable))
            )
        )
    made, counters = sampled(polls)
    assert [sorted(sample.metrics) for sample in made if sample] == [
        ["latency"],
        ["latency"],
        ["latency"],
        ["latency"],
    ]
    assert counters.flaws == {"errors": Flaw.JUMPS}
    assert made[1] is not None
    assert made[1].uncertain == {"errors"}


def test_f06_a_canary_of_many_pods_goes_on_without_the_one_that_fell() -> None:
    """Its evidence counts; that it may go on, it does not."""
    polls = [
        Poll(
            time=5.0 * number,
            weight_percent=10,
            pods=tuple(
                pod(name, {"errors": RatioReading(hits=0, total=total)})
                for name, total in (
                    ("canary-1", 20.0 * number),
                    ("canary-2", (50.0, 10.0, 20.0)[number]),
                    ("stable-1", 90.0 * number),
                )
            ),
        )
        for number in range(3)
    ]
    sample = sampled(polls)[0][2]
    assert sample is not None
    assert sample.metrics["errors"].canary == RatioCounts(hits=0, total=20)
    assert sample.uncertain == {"errors"}


def test_f06_a_histogram_whose_bounds_change_is_not_read_from_zero() -> None:
    """A worker may have other buckets: those that were there before give the difference."""
    shapes = ({0.1: 40.0, 1.0: 50.0, float("inf"): 50.0}, {0.1: 41.0, 0.5: 42.0, float("inf"): 52.0})
    polls = [
        Poll(
            time=5.0 * number,
            weight_percent=10,
            pods=tuple(
                pod(name, {"m": HistogramReading(buckets=shape)}) for name in ("canary-1", "stable-1")
            ),
        )
        for number, shape in enumerate(shapes)
    ]
    sample = sampled(polls)[0][1]
    assert sample is not None
    canary = sample.metrics["m"].canary
    assert not isinstance(canary, RatioCounts)
    assert (canary.bounds, canary.cumulative) == ((0.1, float("inf")), (1, 2))  # type: ignore[union-attr]


def test_f06_noise_is_not_learnt_from_counters_that_jump() -> None:
    """What they have reported is forgotten, too."""
    noise = Noise(metrics=(MetricPolicy(name="errors", kind=MetricKind.RATIO),))
    draw = random.Random(1)
    for number in range(60):
        pods = tuple(
            pod(f"stable-{each}", {"errors": RatioReading(hits=5 * worker, total=1000 * worker + number)})
            for each in range(3)
            for worker in (draw.randint(1, 3),)
        )
        noise = noise.plus(Poll(time=5.0 * number, weight_percent=0, pods=pods))
    assert not noise.sums
    assert not noise.reference().metrics


# --- whole rollouts -----------------------------------------------------------------------------------------


def _polls(draw: random.Random, workers: int, *, busy: bool, alternate: bool = False) -> Iterator[Poll]:
    """A canary and three pods of stable, each of some workers, one of which answers each scrape."""
    names = ("canary-1", "stable-1", "stable-2", "stable-3")
    counters = {
        name: [[draw.randint(0, 20), 1000.0 * (1 + each)] for each in range(workers)] for name in names
    }
    starts = {name: [draw.uniform(1, 50) for _ in range(workers)] for name in names}
    for number in range(150):
        pods = []
        for name in names:
            for counter in counters[name] if busy else ():
                requests = draw.randint(5, 15)
                counter[0] += sum(draw.random() < 0.02 for _ in range(requests))
                counter[1] += requests
            chosen = draw.randrange(workers)
            hits, total = counters[name][chosen]
            process = starts[name][chosen] if alternate else None
            pods.append(pod(name, {"errors": RatioReading(hits=hits, total=total)}, process_started=process))
        yield Poll(time=100 + 5.0 * number, weight_percent=10, pods=tuple(pods))


def _said(polls: Iterable[Poll]) -> list[Said]:
    replay = Replay(Header(), walk=True, every=True)
    return [said for poll in polls for said in replay.take(poll)]


@pytest.mark.parametrize("workers", [2, 3, 4, 8])
@pytest.mark.parametrize("alternate", [False, True], ids=["", "process_start_time_seconds"])
def test_f06_idle_pods_are_never_promoted(workers: int, alternate: bool) -> None:  # noqa: FBT001
    """Nobody asked them anything."""
    for seed in range(5):
        said = _said(_polls(random.Random(seed), workers, busy=False, alternate=alternate))
        assert {each.word for each in said} == {Word.CONTINUE}
        assert "MetricInvalid: metric errors: its counters fall and rise again" in said[-1].message


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_f06_equal_arms_are_not_rolled_back(workers: int) -> None:
    """At 2 % errors; at most one of a hundred may be."""
    said = [_said(_polls(random.Random(seed), workers, busy=True)) for seed in range(30)]
    assert sum(each[-1].word is Word.ROLL_BACK for each in said) == 0
    assert all(each.word is not Word.PROMOTE for one in said for each in one)


def test_f06_what_was_reported_before_is_dropped_and_the_step_begins_anew() -> None:
    """Evidence of a bad canary is gone, too, once its counters turn out to be none."""
    totals = [0, 40, 80, 120, 50, 160, 60, 200]
    polls = [
        Poll(
            time=5.0 * number,
            weight_percent=10,
            pods=(
                pod("canary-1", {"errors": RatioReading(hits=total // 20, total=total)}),
                pod("stable-1", {"errors": RatioReading(hits=10 * number, total=1000.0 * number)}),
            ),
        )
        for number, total in enumerate(totals)
    ]
    replay = Replay(Header(), every=True)
    odds = [said.odds for poll in polls for said in replay.take(poll)]
    assert max(odds) > 1
    assert odds[-1] < 1


@settings(max_examples=examples(20))
@given(st.lists(st.sampled_from([100, 400, 1000]), min_size=20, max_size=40))
def test_f06_the_same_holds_for_a_recorded_stream(totals: list[int]) -> None:
    """As `modelward judge` reads it, with `started` and without."""
    for known in ({"started": 1}, {}):
        replay = Replay(Header(), walk=True, every=True)
        words = set()
        for number, total in enumerate(totals):
            line = {
                "rollout": "r",
                "time": 15 * number,
                "weightPercent": 10,
                "pods": [
                    {
                        "pod": "c",
                        "arm": "canary",
                        "metrics": {"errors": {"hits": 0, "total": total}},
                        **known,
                    },
                    {"pod": "s", "arm": "stable", "metrics": {"errors": {"hits": 0, "total": 5000}}, **known},
                ],
            }
            poll = parsed(str(line).replace("'", '"')).poll
            assert poll is not None
            words |= {said.word for said in replay.take(poll)}
        falls = sum(b < a for a, b in pairwise(totals))
        if falls >= 2 and known:
            assert replay.last() is not None
            assert "MetricInvalid" in replay.last().message  # type: ignore[union-attr]
        assert Word.PROMOTE not in words
