"""1,000 models at once on fake nodes: times, memory, requests and writes of the operator, beside the targets.

`make bench-quick`, or `python -m bench.quick --help`. It measures and never gates: the exit code is 0 unless it
could not run.
"""

import asyncio
import statistics
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import click

from bench import usage
from bench.api import APPS, CORE, MODELS, Api, Manifest, path, watching
from bench.audit import AuditLog, Requests
from bench.figures import Figure, as_json, as_table
from bench.setting import NAMESPACE, OPERATOR_USER, Setting, prepared

FAKE_NODES: Final = 4
PATIENCE_SECONDS: Final = 600.0
IDLE_SECONDS: Final = 5.0
"""Without any work for this long, the operator is quiet. Sweeps come every 60 s."""
CHANGES_PER_SECOND: Final = 10
PER: Final = 1_000
"""The targets of time and memory are those for so many objects."""

MODEL_PATH: Final = path(MODELS, "modeldeployments", NAMESPACE)
DEPLOYMENT_PATH: Final = path(APPS, "deployments", NAMESPACE)
LEFT: Final = (
    MODEL_PATH,
    DEPLOYMENT_PATH,
    path(APPS, "controllerrevisions", NAMESPACE),
    path(APPS, "replicasets", NAMESPACE),
    path(CORE, "services", NAMESPACE),
    path(CORE, "pods", NAMESPACE),
)
"""What must be gone after all models were deleted."""


def model(name: str, replicas: int) -> Manifest:
    """A ModelDeployment whose pods land on fake nodes."""
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": {"version": "1"},
            "runtime": {"image": "registry.invalid/model-server:1"},
            "scheduling": {"nodeSelector": {"type": "kwok"}},
            "replicas": replicas,
            "rollout": {"strategy": "Direct"},
        },
    }


@dataclass(slots=True)
class Seen:
    """What a watch has shown: when each object was first as we wait for it."""

    when: dict[str, float] = field(default_factory=dict)
    """Monotonic seconds, by name of the model."""

    def ready(self, when: float, seen: Manifest) -> None:
        """Take note of a ModelDeployment that is Ready."""
        conditions = seen.get("status", {}).get("conditions", [])
        if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            self.when.setdefault(seen["metadata"]["name"], when)

    def deployment(self, when: float, seen: Manifest) -> None:
        """Take note of the first sight of a new Deployment; its name is that of its model and a hash."""
        if not seen.get("status", {}).get("observedGeneration"):
            self.when.setdefault(seen["metadata"]["name"].rpartition("-")[0], when)

    async def all_of(self, count: int) -> None:
        """Wait until there are `count`. Raises TimeoutError after ten minutes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.when) < count:  # noqa: ASYNC110 - a poll now and then is exact enough
                await asyncio.sleep(0.05)


@dataclass(slots=True)
class Run:
    """One run of all phases; each adds its figures."""

    setting: Setting
    api: Api
    audit: AuditLog
    objects: int
    replicas: int
    burst_seconds: int
    rest_seconds: int
    figures: list[Figure] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    writes: dict[str, int] = field(default_factory=dict)
    """Writes of the first phase by verb and resource."""

    async def everything(self) -> None:
        """All phases, in order."""
        self.names = [f"model-{number:05d}" for number in range(self.objects)]
        self.setting.say("starting the operator")
        await asyncio.to_thread(self.setting.operator.start)
        self._add("memory_empty_mib", "memory without objects", self._memory()[0], "MiB")
        await self._create_all()
        await self._rest()
        await self._restart()
        if self.burst_seconds:
            await self._burst()
        await self._delete_all()

    async def _create_all(self) -> None:
        """All models at once, until the last is Ready and the operator is quiet."""
        self.setting.say(f"creating {self.objects} models with {self.replicas} replicas each")
        self.audit.since_last_time()
        seen, cpu = Seen(), usage.cpu_seconds(self._pid)
        async with watching(self.api, MODEL_PATH, seen.ready):
            began = time.monotonic()
            await asyncio.gather(
                *(self.api.create(MODEL_PATH, model(name, self.replicas)) for name in self.names)
            )
            created = time.monotonic()
            self.setting.say(f"created after {created - began:.1f} s; waiting until all are Ready")
            await self._reported(seen.all_of(self.objects), seen)
        await usage.last_busy(self._pid, idle_seconds=IDLE_SECONDS)
        share = max(1.0, self.objects / PER)
        self._add("create_seconds", "creating all models", created - began, "s")
        self._add(
            "ready_seconds", "first create to last Ready", max(seen.when.values()) - began, "s", 60 * share
        )
        self._add(
            "ready_median_seconds",
            "first create to Ready, median",
            statistics.median(seen.when.values()) - began,
            "s",
        )
        settled, peak = self._memory()
        self._add("memory_settled_mib", "memory, settled", settled, "MiB", 150 * share)
        self._add("memory_peak_mib", "memory, peak", peak, "MiB", 150 * share)
        self._add("cpu_seconds", "CPU until quiet", usage.cpu_seconds(self._pid) - cpu, "s")
        self._requests_each(self.audit.since_last_time())

    def _requests_each(self, requests: Requests) -> None:
        for verb, count in sorted(requests.by_verb().items()):
            self._add(f"requests_{verb}_each", f"requests per model: {verb}", count / self.objects)
        self.writes = dict(requests.writes())
        writes, events = sum(self.writes.values()) / self.objects, requests.events() / self.objects
        parts = ", ".join(f"{count / self.objects:.2f} {what}" for what, count in sorted(self.writes.items()))
        self._add("events_each", "Events per model", events)
        took = requests.seconds("create", "services")
        self._add(
            "service_create_seconds",
            "API server's time to create a Service, median",
            statistics.median(took),
            "s",
        )
        self._add("writes_each", "writes per model, Events included", writes + events, target=7, note=parts)

    async def _rest(self) -> None:
        """Nothing happens: what the operator does all the same."""
        self.setting.say(f"measuring {self.rest_seconds} s at rest")
        self.audit.since_last_time()
        cpu = usage.cpu_seconds(self._pid)
        await asyncio.sleep(self.rest_seconds)
        requests = self.audit.since_last_time()
        self._add("rest_writes", f"writes in {self.rest_seconds} s at rest", _writes(requests), target=0)
        self._add(
            "rest_requests_per_second",
            "requests per second at rest",
            len(requests.all) / self.rest_seconds,
            target=1,
            note=_parts(requests),
        )
        used = usage.cpu_seconds(self._pid) - cpu
        self._add("rest_cpu_percent", "CPU at rest, of one core", 100 * used / self.rest_seconds, "%")
        self._add("rest_memory_peak_mib", "memory, peak after rest", self._memory()[1], "MiB")

    async def _restart(self) -> None:
        """Stop and start with everything there: until the operator has nothing to do any more."""
        self.setting.say("restarting the operator with all models present")
        await asyncio.to_thread(self.setting.operator.stop)
        self.audit.since_last_time()
        began = time.monotonic()
        await asyncio.to_thread(self.setting.operator.start)
        ready = time.monotonic()
        quiet = await usage.last_busy(self._pid, idle_seconds=IDLE_SECONDS)
        requests = self.audit.since_last_time()
        self._add("restart_ready_seconds", "restart: until /readyz", ready - began, "s")
        share = max(1.0, self.objects / PER)
        self._add("restart_quiet_seconds", "restart: until quiet", quiet - began, "s", 10 * share)
        self._add("restart_writes", "restart: writes", _writes(requests), target=0)
        self._add("restart_requests", "restart: requests", len(requests.all), note=_parts(requests))
        settled, peak = self._memory()
        self._add("restart_memory_mib", "restart: memory, settled", settled, "MiB")
        self._add("restart_memory_peak_mib", "restart: memory, peak", peak, "MiB")

    async def _burst(self) -> None:
        """New versions at a steady pace: from the API server's answer to the first sight of a new Deployment."""
        count = min(CHANGES_PER_SECOND * self.burst_seconds, self.objects)
        self.setting.say(f"changing {count} models, {CHANGES_PER_SECOND} per second")
        seen, changed = Seen(), dict[str, float]()

        async def change(name: str) -> None:
            await self.api.change(f"{MODEL_PATH}/{name}", {"spec": {"model": {"version": "2"}}})
            changed[name] = time.monotonic()

        async with watching(self.api, DEPLOYMENT_PATH, seen.deployment), asyncio.TaskGroup() as tasks:
            began = time.monotonic()
            for number, name in enumerate(self.names[:count]):
                await asyncio.sleep(max(0.0, began + number / CHANGES_PER_SECOND - time.monotonic()))
                tasks.create_task(change(name))
            await self._reported(seen.all_of(count), seen)
        took = sorted(max(0.0, seen.when[name] - when) for name, when in changed.items())
        self._add("burst_median_seconds", "change to new Deployment, median", statistics.median(took), "s")
        self._add("burst_p99_seconds", "change to new Deployment, p99", took[len(took) * 99 // 100], "s", 5)

    async def _delete_all(self) -> None:
        """All models at once, until nothing of them is left."""
        await usage.last_busy(self._pid, idle_seconds=IDLE_SECONDS)
        self.setting.say("deleting all models")
        self.audit.since_last_time()
        began = time.monotonic()
        await asyncio.gather(*(self.api.delete(f"{MODEL_PATH}/{name}") for name in self.names))
        async with asyncio.timeout(PATIENCE_SECONDS):
            for where in LEFT:
                while await self.api.any_left(where):  # noqa: ASYNC110 - the API server is asked
                    await asyncio.sleep(0.25)
        gone = time.monotonic()
        await usage.last_busy(self._pid, idle_seconds=IDLE_SECONDS)
        self._add("delete_seconds", "delete: until nothing is left", gone - began, "s")
        requests = self.audit.since_last_time()
        self._add("delete_writes", "delete: writes of the operator", _writes(requests))
        self._add("final_memory_mib", "memory after delete", self._memory()[0], "MiB")

    async def _reported(self, waiting: Coroutine[Any, Any, None], seen: Seen) -> None:
        """Wait, and show every five seconds how far it is."""
        task = asyncio.ensure_future(waiting)
        while not (await asyncio.wait([task], timeout=5))[0]:
            self.setting.say(f"  {len(seen.when)} so far; operator {self._memory()[0]:.0f} MiB")
        task.result()

    @property
    def _pid(self) -> int:
        return self.setting.operator.pid

    def _memory(self) -> tuple[float, float]:
        return usage.memory_mib(self._pid)

    def _add(
        self, key: str, title: str, value: float, unit: str = "", target: float | None = None, note: str = ""
    ) -> None:
        self.figures.append(Figure(key=key, title=title, value=value, unit=unit, target=target, note=note))


def _writes(requests: Requests) -> int:
    return sum(requests.writes().values()) + requests.events()


def _parts(requests: Requests) -> str:
    return ", ".join(f"{count} {verb}" for verb, count in sorted(requests.by_verb().items()))


async def _measure(setting: Setting, *, objects: int, replicas: int, rest: int, burst: int) -> Run:
    audit = AuditLog(setting.cluster.audit_log, OPERATOR_USER)
    try:
        async with Api(setting.cluster) as api:
            run = Run(setting, api, audit, objects, replicas, burst, rest)
            await run.everything()
            return run
    finally:
        audit.close()


@click.command()
@click.option("--objects", type=click.IntRange(1, 10_000), default=PER, show_default=True, help="Models.")
@click.option("--replicas", type=click.IntRange(0, 10), default=1, show_default=True, help="Pods of each.")
@click.option("--rest", type=int, default=120, show_default=True, help="Seconds watched at rest.")
@click.option("--burst", type=int, default=20, show_default=True, help="Seconds of changes; 0 leaves it out.")
@click.option("--name", default="bench", show_default=True, help="Name of the cluster.")
@click.option("--keep", is_flag=True, help="Leave the cluster running.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def main(objects: int, replicas: int, rest: int, burst: int, name: str, keep: bool, output: str) -> None:  # noqa: FBT001
    """Measure the operator with many models at once, on a cluster of its own with fake nodes."""
    with prepared(name, fake_nodes=FAKE_NODES, keep=keep) as setting:
        run = asyncio.run(_measure(setting, objects=objects, replicas=replicas, rest=rest, burst=burst))
    if output == "json":
        click.echo(as_json(run.figures, objects=objects, replicas=replicas, writes=run.writes))
    else:
        click.echo(f"\n{objects} models with {replicas} replicas each\n\n{as_table(run.figures)}")


if __name__ == "__main__":
    main()
