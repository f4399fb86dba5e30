"""Many rollouts at once on fake nodes: how long until the last is promoted, how soon bad ones are back.

`make bench-fleet`, or `python -m bench.fleet --help`. It measures and never gates: the exit code is 0 unless it
could not run.

All canaries start together, with three steps that only wait (fake pods have no metrics). Then all start once more,
and in the first step the pods of every canary are said to crash, all at once, as a kubelet says it: that counts from
the API server's answer to the patch of a pod to the first sight of a model's status with weight 0.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import click

from bench import usage
from bench.api import CORE, MODELS, Api, Manifest, path, watching
from bench.figures import Figure, as_json, as_table
from bench.setting import NAMESPACE, Setting, prepared
from support.crashing import crash_looping
from support.models import fake_model

FAKE_NODES: Final = 4
PATIENCE_SECONDS: Final = 900.0
STEPS: Final = (25, 50, 75)
INTERVAL_SECONDS: Final = 5
LATENESS_SECONDS: Final = 2
FEW: Final = 200
"""The target of the way forward is that for so many rollouts."""
PROMOTED_SECONDS: Final = 20
MODEL_PATH: Final = path(MODELS, "modeldeployments", NAMESPACE)
POD_PATH: Final = path(CORE, "pods", NAMESPACE)


def model(name: str, version: int, step_seconds: int) -> Manifest:
    """A ModelDeployment on fake nodes whose steps only wait."""
    rollout = {
        "steps": [{"weightPercent": weight} for weight in STEPS],
        "stepMinSeconds": step_seconds,
        "keepPreviousSeconds": 0,
    }
    return fake_model(name, version=str(version), replicas=1, rollout=rollout)


@dataclass(slots=True)
class Seen:
    """The latest status of each model, and when it first was as we wait for it."""

    found: Callable[[Manifest], bool]
    """Of a status."""
    when: dict[str, float] = field(default_factory=dict)
    """Monotonic seconds, by name of the model."""

    def take(self, when: float, seen: Manifest) -> None:
        """An event of the watch."""
        if self.found(seen.get("status", {})):
            self.when.setdefault(seen["metadata"]["name"], when)

    async def all_of(self, count: int, say: Callable[[str], None]) -> None:
        """Wait until there are `count`, and show how far it is. Raises TimeoutError after 15 minutes."""
        reported = time.monotonic()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.when) < count:
                await asyncio.sleep(0.05)
                if time.monotonic() - reported > 5:
                    reported = time.monotonic()
                    say(f"  {len(self.when)} of {count}")


@dataclass(slots=True)
class Run:
    """One run of both ways; each adds its figures."""

    setting: Setting
    api: Api
    rollouts: int
    pause_seconds: int
    figures: list[Figure] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    async def everything(self) -> None:
        """First versions, the way forward, the way back."""
        self.names = [f"model-{number:05d}" for number in range(self.rollouts)]
        self.setting.say("starting the operator")
        await asyncio.to_thread(self.setting.operator.start)
        await self._serve()
        await self._promote()
        await self._crash()
        self._add("memory_peak_mib", "memory of the operator, peak", usage.memory_mib(self._pid)[1], "MiB")

    async def _serve(self) -> None:
        """The first version of every model."""
        self.setting.say(f"creating {self.rollouts} models")

        async def create(name: str) -> None:
            await self.api.create(MODEL_PATH, model(name, 1, self._step_seconds))

        await self._all(create, _serves)
        await usage.last_busy(self._pid, idle_seconds=3)

    async def _promote(self) -> None:
        """A new version of every model at once, until the last is promoted."""
        self.setting.say("changing all of them")
        cpu, began = usage.cpu_seconds(self._pid), time.monotonic()
        seen = await self._all(self._change_to(2), _promoted_to(2))
        took = sorted(when - began for when in seen.when.values())
        target = PROMOTED_SECONDS if self.rollouts <= FEW else None
        self._add("promoted_median_seconds", "change to promotion, median", statistics.median(took), "s")
        self._add("promoted_last_seconds", "first change to last promotion", took[-1], "s", target)
        self._add("promoted_cpu_seconds", "CPU of the operator", usage.cpu_seconds(self._pid) - cpu, "s")

    async def _crash(self) -> None:
        """A new version of every model at once; when all have traffic, all of their pods crash."""
        await usage.last_busy(self._pid, idle_seconds=3)
        self.setting.say("changing all of them once more, to versions that will crash")
        await self._all(self._change_to(3, step_seconds=600), _has_weight)
        pods = (await self.api.get(f"{POD_PATH}?labelSelector=modelward.dev%2Fmodel"))["items"]
        weighed = [pod for pod in pods if await self._is_of_canary(pod)]
        self.setting.say(f"crashing {len(weighed)} pods")
        crashed: dict[str, float] = {}

        async def crash(pod: Manifest) -> None:
            where = f"{POD_PATH}/{pod['metadata']['name']}/status"
            await self.api.change(where, {"status": crash_looping(pod)})
            crashed[pod["metadata"]["labels"]["modelward.dev/model"]] = time.monotonic()

        seen = Seen(_rolled_back)
        async with watching(self.api, MODEL_PATH, seen.take):
            await asyncio.gather(*map(crash, weighed))
            await seen.all_of(self.rollouts, self.setting.say)
        took = sorted(seen.when[name] - when for name, when in crashed.items())
        target = INTERVAL_SECONDS + LATENESS_SECONDS
        self._add("back_median_seconds", "crash to weight 0, median", statistics.median(took), "s")
        self._add("back_p99_seconds", "crash to weight 0, p99", took[len(took) * 99 // 100], "s", target)
        self._add("back_last_seconds", "crash to weight 0, worst", took[-1], "s")

    async def _is_of_canary(self, pod: Manifest) -> bool:
        labels = pod["metadata"]["labels"]
        found = await self.api.get(f"{MODEL_PATH}/{labels['modelward.dev/model']}")
        return bool(found["status"].get("canaryRevision") == labels["modelward.dev/revision"])

    def _change_to(self, version: int, step_seconds: int | None = None) -> Callable[[str], Awaitable[Any]]:
        rollout = {"stepMinSeconds": step_seconds or self._step_seconds, "stepMaxSeconds": 3600}
        change = {"spec": {"model": {"version": str(version)}, "rollout": rollout}}
        return lambda name: self.api.change(f"{MODEL_PATH}/{name}", change)

    async def _all(self, act: Callable[[str], Awaitable[Any]], found: Callable[[Manifest], bool]) -> Seen:
        """Do it to every model at once, and wait until the status of every model is as wanted."""
        seen = Seen(found)
        async with watching(self.api, MODEL_PATH, seen.take):
            await asyncio.gather(*map(act, self.names))
            await seen.all_of(self.rollouts, self.setting.say)
        return seen

    @property
    def _step_seconds(self) -> int:
        return max(1, self.pause_seconds // len(STEPS))

    @property
    def _pid(self) -> int:
        return self.setting.operator.pid

    def _add(self, key: str, title: str, value: float, unit: str, target: float | None = None) -> None:
        self.figures.append(Figure(key=key, title=title, value=value, unit=unit, target=target))


def _serves(status: Manifest) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))


def _promoted_to(version: int) -> Callable[[Manifest], bool]:
    entry = {"modelVersion": str(version), "result": "Promoted"}

    def found(status: Manifest) -> bool:
        return any(entry.items() <= each.items() for each in status.get("history", [])[:1])

    return found


def _has_weight(status: Manifest) -> bool:
    return bool((status.get("rollout") or {}).get("weightPercent"))


def _rolled_back(status: Manifest) -> bool:
    return bool(status.get("rejectedRevisions")) and not _has_weight(status)


async def _measure(setting: Setting, rollouts: int, pause: int) -> Run:
    async with Api(setting.cluster) as api:
        run = Run(setting, api, rollouts, pause)
        await run.everything()
        return run


@click.command()
@click.option(
    "--rollouts", type=click.IntRange(1, 5_000), default=FEW, show_default=True, help="Models, one pod each."
)
@click.option(
    "--pause",
    type=click.IntRange(3, 3600),
    default=15,
    show_default=True,
    help="Seconds that the three steps of a rollout take together.",
)
@click.option("--name", default="bench", show_default=True, help="Name of the cluster.")
@click.option("--keep", is_flag=True, help="Leave the cluster running.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def main(rollouts: int, pause: int, name: str, keep: bool, output: str) -> None:  # noqa: FBT001
    """Measure the operator with many rollouts at once, on a cluster of its own with fake nodes."""
    with prepared(name, fake_nodes=FAKE_NODES, keep=keep) as setting:
        run = asyncio.run(_measure(setting, rollouts, pause))
    if output == "json":
        click.echo(as_json(run.figures, rollouts=rollouts, pause=pause))
    else:
        click.echo(f"\n{rollouts} rollouts at once, {pause} s of pauses each\n\n{as_table(run.figures)}")


if __name__ == "__main__":
    main()
