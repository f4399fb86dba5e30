"""Whole rollouts played from pages: parsed, followed and judged by the code that does so in the operator, without a socket."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

from modelward.analysis import judge
from modelward.analysis.counters import Counters
from modelward.analysis.noise import Noise
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.readings import Arm
from modelward.analysis.sampled_evidence import MetricsProblem
from modelward.analysis.verdict import Step, Verdict
from modelward.api.analysis_policy import AnalysisPolicy, Metric, MetricKind
from modelward.api.signals import Signals
from modelward.clients.scrape import Body, Page, Scraper
from modelward.rollout.observed import Pod
from modelward.sampling.pods import PodSource
from modelward.sampling.sampler_task import SamplerTask
from modelward.sampling.subject import Endpoint, Side, Subject
from modelward.sampling.targets import sample_targets
from unit.sampling.fleet import CANARY, KEY, STABLE

INTERVAL = 5.0
STARTED = 1_700_000_000.0
Shown = Callable[[str, int], str | Body]
"""The page of a pod at a poll, counted from 0."""


class _Pages:
    """In place of a Scraper: a pod's address is its name."""

    def __init__(self, shown: Shown) -> None:
        self.shown, self.poll = shown, 0

    async def read(self, page: Page) -> Body:
        body = self.shown(page.address, self.poll)
        return body if isinstance(body, Body) else Body(body, "text/plain")


@dataclass
class Reported:
    """What came of a rollout."""

    verdicts: list[Verdict] = field(default_factory=list)
    problem: MetricsProblem | None = None
    message: str = ""

    @property
    def advanced(self) -> bool:
        """Whether more traffic was ever justified."""
        return Verdict.ADVANCE in self.verdicts

    @property
    def rolled_back(self) -> bool:
        """Whether it was."""
        return Verdict.ROLL_BACK in self.verdicts


def rollout(
    shown: Shown,
    *,
    hits: str,
    total: str,
    polls: int = 60,
    pods: Iterable[str] = ("canary-1", "stable-1", "stable-2", "stable-3"),
) -> Reported:
    """Play a step of 10 % with these pages. As in the operator nothing goes on while there is a problem."""
    metrics = (Metric(name="errors", kind=MetricKind.RATIO, hits=hits, total=total),)
    wanted = sample_targets(AnalysisPolicy(metrics=metrics), Signals(), {"MODEL_NAME": "fraud"})
    endpoint = Endpoint(port=8080, path="/metrics")
    policy = Policy(
        metrics=(MetricPolicy(name="errors", kind=MetricKind.RATIO, errors=True),),
        interval_seconds=INTERVAL,
        step_min_seconds=30,
    )
    subject = Subject(
        namespace=KEY[0],
        name=KEY[1],
        canary=Side(revision=CANARY, wanted=wanted, endpoint=endpoint),
        stable=Side(revision=STABLE, wanted=wanted, endpoint=endpoint),
        weight_percent=10,
        interval_seconds=INTERVAL,
        metrics=policy.metrics,
    )
    pages = _Pages(shown)
    source = PodSource(cast("Scraper", pages), lambda _: [_pod(name) for name in pods])
    task = SamplerTask(subject=subject, noise=Noise(metrics=policy.metrics), counters=Counters())
    return asyncio.run(_played(task, source, pages, policy, polls))


def _pod(name: str) -> Pod:
    since = datetime.fromtimestamp(STARTED, UTC)
    revision = CANARY if name.startswith("canary") else STABLE
    return Pod(name=name, revision=revision, ip=name, node="n", started=since, ready=True, ready_since=since)


async def _played(
    task: SamplerTask, source: PodSource, pages: _Pages, policy: Policy, polls: int
) -> Reported:
    reported, state = Reported(), judge.begin(policy)
    step = Step(time=STARTED, started=STARTED, weight_percent=10, next_weight_percent=25)
    sides = {arm: task.subject.side(arm) for arm in Arm}
    since = STARTED + 100
    for poll in range(polls):
        pages.poll, time = poll, STARTED + 100 + INTERVAL * (poll + 1)
        task.take(await source.poll(KEY, sides, time, weight_percent=10))
        evidence = task.evidence(since)
        for sample in evidence.samples:
            state, since = judge.observe(policy, state, sample), sample.time
        step = replace(step, time=time, started=time if evidence.problem or not poll else step.started)
        made = judge.assess(policy, state, step)
        reported.problem, reported.message = evidence.problem, made.message
        if made.verdict is Verdict.ROLL_BACK or not evidence.problem:
            reported.verdicts.append(made.verdict)
    return reported
