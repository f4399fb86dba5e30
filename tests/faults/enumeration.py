"""Every write of every workload, at three crash points each: run by several lanes, reported as results come."""

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from devcluster import Cluster
from devcluster.gateway import install_crds
from devcluster.progress import silence
from faults.lane import Crash, Lane, Result
from faults.metric_endpoints import MetricEndpoints
from faults.outcome import Outcome
from faults.plan import EACH, Moment
from faults.recorder import KINDS, Recorder
from faults.workloads import BY_NAME, Workload
from support.api_server import administrator

MOMENTS: Final = tuple(Moment)
TRIES: Final = 3
"""For a crash that is not reached, because a run took fewer writes than the one before."""
T = TypeVar("T")
Report = Callable[[Result], None]


@dataclass(frozen=True, slots=True)
class Point:
    """One run that is to be done."""

    workload: Workload
    crash: Crash


@dataclass(slots=True)
class Enumeration:
    """All lanes, and what undisturbed runs come to."""

    cluster: Cluster
    credentials: Path
    directory: Path
    lanes: int
    report: Report
    """Is notified of each result, one at a time."""
    once: bool = True
    """Whether a run has one crash, or one at every write."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    _reporting: threading.Lock = field(default_factory=threading.Lock)

    def run(self, workloads: Sequence[Workload], chosen: Callable[[list[Point]], Iterable[Point]]) -> None:
        """Each workload undisturbed, and then at the crash points chosen from all there are."""
        with ExitStack() as stack:
            routed = any(workload.routed for workload in workloads)
            if routed:
                install_crds(self.cluster.directory, self.cluster.binaries, silence)
            kinds = [kind for kind in KINDS if routed or kind != "HTTPRoute"]
            recorder = stack.enter_context(Recorder(self.cluster, kinds))
            measured = stack.enter_context(MetricEndpoints(recorder))
            client = stack.enter_context(administrator(self.cluster))
            lanes = []
            for number in range(self.lanes):
                directory = self.directory / f"lane-{number}"
                directory.mkdir(parents=True, exist_ok=True)
                lane = Lane(self.cluster, self.credentials, recorder, client, measured, directory)
                lanes.append(stack.enter_context(lane))
            self._spread(lanes, workloads, self._undisturbed)
            points = [point for workload in workloads for point in self._points(workload)]
            self._spread(lanes, list(chosen(points)), self._disturbed)

    def _points(self, workload: Workload) -> Iterator[Point]:
        writes = self.writes.get(workload.name, 0)
        for number in range(1, writes + 1) if self.once else [EACH] * bool(writes):
            for moment in MOMENTS:
                yield Point(workload, Crash(number=number, moment=moment))

    def _undisturbed(self, lane: Lane, workload: Workload) -> Result:
        result = lane.run(workload)
        if result.held and result.outcome:
            self.outcomes[workload.name] = result.outcome
            self.writes[workload.name] = result.writes
            self.seconds[workload.name] = result.seconds
        return result

    def _disturbed(self, lane: Lane, point: Point) -> Result:
        """A run that has fewer writes than the undisturbed one is done again, with the crash at the last that it had."""
        workload, crash = point.workload, point.crash
        result = lane.run(workload, crash, self.outcomes[workload.name])
        for _ in range(TRIES):
            if result.struck or not result.held or not result.writes:
                break
            crash = replace(crash, number=min(crash.number, result.writes))
            result = lane.run(workload, crash, self.outcomes[workload.name])
        result.late = result.seconds - self.seconds[point.workload.name]
        return result

    def _spread(self, lanes: Sequence[Lane], work: Sequence[T], do: Callable[[Lane, T], Result]) -> None:
        todo, taking = iter(work), threading.Lock()

        def drive(lane: Lane) -> None:
            while True:
                with taking:
                    if (piece := next(todo, None)) is None:
                        return
                result = do(lane, piece)
                with self._reporting:
                    self.report(result)

        with ThreadPoolExecutor(len(lanes)) as pool:
            for done in [pool.submit(drive, lane) for lane in lanes]:
                done.result()


def sample(points: Sequence[Point], count: int, seed: int) -> list[Point]:
    """So many of the points, the same for the same seed; some of each workload before more of any."""
    chance = random.Random(seed)
    shuffled = chance.sample(list(points), len(points))
    seen: dict[str, int] = {}
    ranked = []
    for point in shuffled:
        seen[point.workload.name] = seen.get(point.workload.name, 0) + 1
        ranked.append((seen[point.workload.name], point))
    ranked.sort(key=lambda each: each[0])
    return [point for _, point in ranked[:count]]


def of_names(names: Iterable[str]) -> list[Workload]:
    """Workloads by name; all of them for no names. Raises KeyError."""
    return [BY_NAME[name] for name in names] or list(BY_NAME.values())
