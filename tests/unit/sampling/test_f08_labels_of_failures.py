"""A label that exists on failures only: what the pods of one arm show together decides, not each page by itself."""

import asyncio
import random
from collections.abc import Mapping
from typing import cast

import pytest

from modelward.analysis.readings import Arm, RatioReading
from modelward.clients.scrape import Body, Page, Scraper
from modelward.rollout.observed import Pod
from modelward.sampling.pods import PodSource, Polled
from modelward.sampling.selectors import parse_sum
from modelward.sampling.subject import Endpoint, Side
from modelward.sampling.targets import RatioTarget
from unit.sampling.fleet import CANARY, KEY, STABLE, make_serving
from unit.sampling.rollouts_of_pages import rollout

HITS, TOTAL = 'requests_total{error_type!=""}', "requests_total"


def page(good: int, failed: int) -> str:
    """Of a server that labels what fails, and nothing else."""
    series = f'requests_total{{model="m"}} {good}\n' if good else ""
    failures = f'requests_total{{model="m",error_type="Timeout"}} {failed}\n' if failed else ""
    return f"# TYPE requests_total counter\n{series}{failures}"


def polled(pages: Mapping[str, str], hits: str = HITS) -> Polled:
    """What a poll finds of pods with these pages; their names begin with their arm."""

    class Pages:
        async def read(self, page: Page) -> Body:
            return Body(pages[page.address], "text/plain")

    def serving(name: str) -> Pod:
        arm = Arm.CANARY if name.startswith("canary") else Arm.STABLE
        return make_serving(name, arm, name)

    wanted = (RatioTarget(name="errors", hits=parse_sum(hits, "f"), total=parse_sum(TOTAL, "f")),)
    endpoint = Endpoint(port=80, path="/metrics")
    sides = {
        arm: Side(revision=revision, wanted=wanted, endpoint=endpoint)
        for arm, revision in ((Arm.CANARY, CANARY), (Arm.STABLE, STABLE))
    }
    source = PodSource(cast("Scraper", Pages()), lambda _: [serving(name) for name in pages])
    return asyncio.run(source.poll(KEY, sides, 100.0, weight_percent=10))


@pytest.mark.parametrize(
    "hits", [HITS, 'requests_total{error_type=~".+"}', 'requests_total{error_type!~"|none"}']
)
def test_f08_pods_without_a_failure_count_beside_one_that_had_some(hits: str) -> None:
    """In every draw all pods of an arm count, or none: nobody takes the failing ones out of an arm."""
    draw = random.Random(8)
    for _ in range(200):
        counts = {
            f"{arm}-{n}": (draw.randint(1, 50), draw.choice([0, 0, draw.randint(1, 5)]))
            for arm in Arm
            for n in range(draw.randint(1, 5))
        }
        found = polled({pod: page(*of) for pod, of in counts.items()}, hits)
        read = {pod.pod: pod.metrics for pod in found.poll.pods}
        for arm in Arm:
            pods = [pod for pod in counts if pod.startswith(arm)]
            labelled = any(counts[pod][1] for pod in pods)
            assert ("errors" in found.lacking[arm]) != labelled
            for pod in pods:
                good, failed = counts[pod]
                whole = {"errors": RatioReading(hits=failed, total=good + failed)} if labelled else {}
                assert read[pod] == whole


def test_f08_the_label_that_no_pod_of_an_arm_has_is_named() -> None:
    """Also where a pod that nobody asked has no series: it proves nothing for the other."""
    found = polled({"canary-1": page(50, 0), "canary-2": page(0, 0), "stable-1": page(9, 1)})
    assert [pod.metrics for pod in found.poll.pods if pod.arm is Arm.CANARY] == [{}, {}]
    problem = found.lacking[Arm.CANARY]["errors"]
    assert "no series requests_total has the label error_type; their labels are model" in problem.message
    assert "errors" not in found.lacking[Arm.STABLE]


def test_f08_a_label_that_must_not_be_empty_is_one_that_is_needed() -> None:
    """On a server that does not have it, every failure is none."""
    found = polled({"canary-1": "requests_total 50\n", "stable-1": "requests_total 50\n"})
    assert all("errors" in found.lacking[arm] for arm in Arm)


def test_f08_what_is_wrong_with_a_value_is_said_first() -> None:
    """The label is the smaller trouble."""
    found = polled({"canary-1": 'requests_total{model="m"} NaN\n', "stable-1": page(9, 1)})
    assert "no number" in found.lacking[Arm.CANARY]["errors"].message


def _counting(canary_rate: float, seed: int) -> object:
    draw, counted = random.Random(seed), dict[str, list[int]]()

    def shown(pod: str, poll: int) -> str:
        del poll
        counter = counted.setdefault(pod, [0, 0])
        for _ in range(40):
            counter[draw.random() < (canary_rate if pod.startswith("canary") else 0.002)] += 1
        return page(*counter)

    return shown


def test_f08_equal_arms_with_rare_failures_are_not_rolled_back() -> None:
    """Pods of stable that had no failure yet are of stable."""
    reported = [
        rollout(_counting(0.002, seed), hits=HITS, total=TOTAL, polls=40)  # type: ignore[arg-type]
        for seed in range(15)
    ]
    assert not any(each.rolled_back for each in reported)


def test_f08_a_canary_that_fails_is_rolled_back() -> None:
    """Its label is there with its first failure."""
    reported = rollout(_counting(0.2, 1), hits=HITS, total=TOTAL, polls=60)  # type: ignore[arg-type]
    assert reported.rolled_back
    assert not reported.advanced
