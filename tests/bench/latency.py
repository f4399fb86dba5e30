"""From the creation of a model to Ready=True on a real node, beside a bare Deployment of the very same pod.

`make bench-latency`, or `python -m bench.latency --help`. Sequential, one model at a time. The load time of the
model is not guessed: each round also creates a Deployment with the same pod template and no operator around it
(the baseline), and asks the server itself for readiness, at the pod's address, every 20 ms.
"""

import asyncio
import contextlib
import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import click

from bench.api import APPS, CORE, MODELS, Api, Manifest, path, watching
from bench.figures import Figure, as_json, as_table
from bench.setting import NAMESPACE, Setting, prepared
from conftest import ROOT
from devcluster.images import build_image

PATIENCE_SECONDS: Final = 120.0
ASK_SECONDS: Final = 0.02
PORT: Final = 8080
SERVED: Final = "breast-cancer"
RUNTIME: Final = ROOT / "manifests" / "samples" / "runtime.yaml"

MODEL_PATH: Final = path(MODELS, "modeldeployments", NAMESPACE)
DEPLOYMENT_PATH: Final = path(APPS, "deployments", NAMESPACE)
POD_PATH: Final = path(CORE, "pods", NAMESPACE)


def model(name: str) -> Manifest:
    """A ModelDeployment of the test model server; its image carries the model."""
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": {"format": "onnx", "name": SERVED, "version": "1"},
            "runtime": {"drainSeconds": 5},
            "rollout": {"strategy": "Direct"},
        },
    }


def bare(name: str, template: Manifest) -> Manifest:
    """A Deployment of the same pod, under labels of its own."""
    template = copy.deepcopy(template)
    template["metadata"] = {"labels": {"app": name}}
    template["spec"].pop("topologySpreadConstraints", None)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


@dataclass(slots=True)
class Moments:
    """When something was first so, in monotonic seconds, by what it was."""

    when: dict[str, float] = field(default_factory=dict)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, what: str, when: float) -> None:
        """It is so; only the first time counts."""
        self.when.setdefault(what, when)
        self.came.set()

    async def of(self, what: str) -> float:
        """When it was; waits for it. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while what not in self.when:
                self.came.clear()
                await self.came.wait()
        return self.when[what]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One model and one bare Deployment; all in seconds since the creation."""

    model: float
    """Ready=True of the ModelDeployment."""
    model_answers: float
    """The server answered its readiness path with 200."""
    bare: float
    """`status.readyReplicas` of the bare Deployment."""


@dataclass(slots=True)
class Bench:
    """The watches and what they have shown."""

    api: Api
    moments: Moments = field(default_factory=Moments)
    addresses: dict[str, str] = field(default_factory=dict)
    """Address of the latest pod by the value of its label (model or app)."""

    async def round(self, number: int) -> Round:
        """Create, wait, measure, delete; then the same for the bare Deployment."""
        name = f"model-{number}"
        began = time.monotonic()
        await self.api.create(MODEL_PATH, model(name))
        asking = asyncio.create_task(self._ask(name))
        ready = await self.moments.of(f"ModelDeployment {name}")
        answers = await asking
        template = await self._template()
        await self._gone(f"{MODEL_PATH}/{name}")
        name = f"bare-{number}"
        began_bare = time.monotonic()
        await self.api.create(DEPLOYMENT_PATH, bare(name, template))
        bare_ready = await self.moments.of(f"Deployment {name}")
        await self._gone(f"{DEPLOYMENT_PATH}/{name}")
        return Round(model=ready - began, model_answers=answers - began, bare=bare_ready - began_bare)

    async def _template(self) -> Manifest:
        """The pod template of the only Deployment there is."""
        [deployment] = (await self.api.get(DEPLOYMENT_PATH))["items"]
        template: Manifest = deployment["spec"]["template"]
        return template

    async def _gone(self, where: str) -> None:
        """Delete it, and wait until no pod is left."""
        await self.api.delete(where)
        while await self.api.any_left(DEPLOYMENT_PATH):  # noqa: ASYNC110 - the API server is asked
            await asyncio.sleep(0.1)
        await self.api.delete(POD_PATH, grace_seconds=1)  # nobody is to be served to the end
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.api.any_left(POD_PATH):  # noqa: ASYNC110 - the API server is asked
                await asyncio.sleep(0.1)

    async def _ask(self, name: str) -> float:
        """When the model's server itself first says that it is ready."""
        async with asyncio.timeout(PATIENCE_SECONDS), aiohttp.ClientSession() as session:
            while True:
                if address := self.addresses.get(name):
                    url = f"http://{address}:{PORT}/v2/models/{SERVED}/ready"
                    with contextlib.suppress(aiohttp.ClientError):
                        async with session.get(url) as response:
                            if response.ok:
                                return time.monotonic()
                await asyncio.sleep(ASK_SECONDS)

    def see_model(self, when: float, seen: Manifest) -> None:
        """Take note of a ModelDeployment that is Ready."""
        conditions = seen.get("status", {}).get("conditions", [])
        if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            self.moments.note(f"ModelDeployment {seen['metadata']['name']}", when)

    def see_deployment(self, when: float, seen: Manifest) -> None:
        """Take note of a Deployment whose pod is ready."""
        if seen.get("status", {}).get("readyReplicas"):
            self.moments.note(f"Deployment {seen['metadata']['name']}", when)

    def see_pod(self, _when: float, seen: Manifest) -> None:
        """Take note of the address of a model's pod."""
        name = seen["metadata"].get("labels", {}).get("modelward.dev/model")
        if name and (address := seen.get("status", {}).get("podIP")):
            self.addresses[name] = address


async def _measure(setting: Setting, rounds: int) -> list[Round]:
    async with Api(setting.cluster) as api, contextlib.AsyncExitStack() as watches:
        bench = Bench(api)
        follow: dict[str, Callable[[float, Manifest], None]] = {
            MODEL_PATH: bench.see_model,
            DEPLOYMENT_PATH: bench.see_deployment,
            POD_PATH: bench.see_pod,
        }
        for where, take in follow.items():
            await watches.enter_async_context(watching(api, where, take))
        await bench.round(rounds)  # the first start reads image layers from disk
        done = []
        for number in range(rounds):
            done.append(await bench.round(number))
            last = done[-1]
            setting.say(
                f"round {number + 1}: Ready after {last.model:.2f} s, bare pod after {last.bare:.2f} s"
            )
        return done


def figures_of(rounds: list[Round]) -> list[Figure]:
    """Median and worst of each."""
    parts = {
        "ready": ("create to Ready=True", [each.model for each in rounds]),
        "bare": ("bare Deployment of the same pod, create to ready", [each.bare for each in rounds]),
        "added": (
            "added by the operator (difference, by round)",
            [each.model - each.bare for each in rounds],
        ),
        "report": (
            "server answers ready to Ready=True",
            [each.model - each.model_answers for each in rounds],
        ),
    }
    found = []
    for key, (title, values) in parts.items():
        found.append(
            Figure(key=f"{key}_median", title=f"{title}: median", value=statistics.median(values), unit="s")
        )
        found.append(Figure(key=f"{key}_worst", title=f"{title}: worst", value=max(values), unit="s"))
    return found


@click.command()
@click.option(
    "--rounds", type=click.IntRange(1, 1000), default=20, show_default=True, help="Models, one by one."
)
@click.option("--name", default="bench-node", show_default=True, help="Name of the cluster.")
@click.option("--keep", is_flag=True, help="Leave the cluster running.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def main(rounds: int, name: str, keep: bool, output: str) -> None:  # noqa: FBT001
    """Measure how soon a model is Ready on a real node, and what of that is the operator's."""
    archive = build_image("model-server")
    with prepared(name, node=True, keep=keep) as setting:
        setting.cluster.load_image(archive)
        setting.admin("apply", "-f", str(RUNTIME))
        setting.operator.start()
        setting.say("the operator runs; one round to warm up")
        figures = figures_of(asyncio.run(_measure(setting, rounds)))
    if output == "json":
        click.echo(as_json(figures, rounds=rounds))
    else:
        click.echo(f"\n{rounds} models, one after the other, on a real node\n\n{as_table(figures)}")


if __name__ == "__main__":
    main()
