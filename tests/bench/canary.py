"""Canaries on a real node under load: how soon a bad one is gone, and whether a request is ever lost.

`make bench-canary`, or `python -m bench.canary --help`. Real model servers, a real gateway (Traefik) with exact
weights, and the same without a router. Each scenario runs many times, on several models side by side.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import click

from bench.api import MODELS, Api, path
from bench.canaries import models
from bench.canaries.load import Load, first_answer
from bench.canaries.predicted import Circumstances, Prediction
from bench.canaries.rollout import PATIENCE_SECONDS, Outcome, Rollout
from bench.canaries.scenarios import SCENARIOS, WEIGHT_PERCENT, Scenario
from bench.canaries.sight import Sight, Way
from bench.canaries.summary import figures_of, typical_noise
from bench.figures import Figure, as_json, as_table
from bench.setting import NAMESPACE, Setting, prepared
from devcluster.images import build_image

NAME: Final = "bench-canary"
SETTLE_SECONDS: Final = 2.0
"""Load on a model whose canaries are not judged by numbers, before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One scenario."""

    scenario: Scenario
    outcomes: Sequence[Outcome]
    prediction: Prediction | None

    @property
    def figures(self) -> list[Figure]:
        """Of all runs."""
        return figures_of(self.scenario, self.outcomes, self.prediction)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all scenarios share."""

    setting: Setting
    api: Api
    sight: Sight
    about: Circumstances
    at_once: int
    history: float

    async def measure(self, key: str, scenario: Scenario, runs: int) -> Measured:
        """All runs of a scenario, spread over models side by side."""
        lanes = min(self.at_once, runs)
        shares = [len(range(lane, runs, lanes)) for lane in range(lanes)]
        self.setting.say(f"{key}: {scenario.title}; {runs} runs on {lanes} models")
        found = await asyncio.gather(
            *(self._lane(f"{key}-{lane}", scenario, share) for lane, share in enumerate(shares))
        )
        outcomes = [outcome for lane in found for outcome in lane]
        phi = typical_noise(scenario.metric, outcomes)
        prediction = scenario.prediction(self.about, phi) if scenario.prediction and phi else None
        return Measured(scenario=scenario, outcomes=outcomes, prediction=prediction)

    async def _lane(self, name: str, scenario: Scenario, runs: int) -> list[Outcome]:
        """So many runs on one model."""
        async with contextlib.AsyncExitStack() as stack:
            rollout = await self._serving(name, scenario, stack)
            await asyncio.sleep(self.history if scenario.with_history else SETTLE_SECONDS)
            return [await self._run(rollout, scenario) for _ in range(runs)]

    async def _serving(self, name: str, scenario: Scenario, stack: contextlib.AsyncExitStack) -> Rollout:
        """A new model that serves under load; both end with the stack."""
        gateway = self.setting.cluster.gateway if scenario.routed else None
        manifest = models.model(name, gateway, scenario.rollout, self.about.interval)
        manifest["spec"] |= models.version(0, scenario.stable)["spec"]
        manifest["spec"]["runtime"]["name"] = models.RUNTIME
        where = path(MODELS, "modeldeployments", NAMESPACE)
        await self.api.create(where, manifest)
        stack.push_async_callback(self.api.delete, f"{where}/{name}")
        url, host = (gateway.url, models.host(name)) if gateway else (await self._service(name), "")
        load = Load(url, models.SERVED, self.about.rps, host)
        way = Way.ROUTE if gateway else Way.SERVICE
        rollout = Rollout(self.api, self.sight, name, load, way)
        await rollout.wait_quiet()
        await first_answer(url, models.SERVED, host)
        await stack.enter_async_context(load)
        return rollout

    async def _service(self, name: str) -> str:
        """Address of the model's Service, which may be a moment away."""
        where = path("/api/v1", "services", NAMESPACE, name)
        await self.sight.until(
            lambda: bool(self.sight.shares[Way.SERVICE, name]), f"Service {name}", PATIENCE_SECONDS
        )
        return f"http://{(await self.api.get(where))['spec']['clusterIP']}"

    async def _run(self, rollout: Rollout, scenario: Scenario) -> Outcome:
        try:
            outcome = await scenario.run(rollout)
        except TimeoutError as error:  # one run that hangs is a finding, and no reason to lose the others
            outcome = Outcome(ended=f"stuck ({error})")
        times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in outcome.times.items())
        counts = ", ".join(f"{count} {name}" for name, count in outcome.counts.items())
        self.setting.say(f"{rollout.name} run {rollout.number}: {outcome.ended}; {times}; {counts}")
        if outcome.ended != scenario.wanted:
            self.setting.say(f"  {outcome.message}")
        for trouble in dict.fromkeys(outcome.troubles):
            self.setting.say(f"  lost: {trouble}")
        return outcome


async def _measure(
    setting: Setting, names: Sequence[str], runs: int, about: Circumstances, at_once: int, history: float
) -> dict[str, Measured]:
    async with Api(setting.cluster) as api, Sight.of(api, NAMESPACE) as sight:
        bench = Bench(setting, api, sight, about, at_once, history)
        found = {}
        for name in names:
            scenario = SCENARIOS[name]
            found[name] = await bench.measure(name, scenario, max(1, round(scenario.part * runs)))
            setting.say(f"{name}\n{as_table(found[name].figures)}")
        return found


def _as_json(found: dict[str, Measured], about: Circumstances) -> str:
    figures = [
        Figure(**(asdict(figure) | {"key": f"{name}_{figure.key}"}))
        for name, measured in found.items()
        for figure in measured.figures
    ]
    runs = {name: [asdict(outcome) for outcome in measured.outcomes] for name, measured in found.items()}
    return as_json(figures, **asdict(about), runs=runs)


def _as_text(found: dict[str, Measured]) -> str:
    parts = []
    for measured in found.values():
        note = f"\n{measured.scenario.note}" if measured.scenario.note else ""
        parts.append(f"{measured.scenario.title}\n\n{as_table(measured.figures)}{note}")
    return "\n\n".join(parts)


@click.command()
@click.option("--scenarios", default="", help=f"Which, with commas: {', '.join(SCENARIOS)}.  [default: all]")
@click.option("--runs", type=click.IntRange(1, 1000), default=20, show_default=True, help="Of each scenario.")
@click.option(
    "--rps", type=click.FloatRange(5, 500), default=60, show_default=True, help="Requests/s on each model."
)
@click.option(
    "--at-once", type=click.IntRange(1, 10), default=3, show_default=True, help="Models side by side."
)
@click.option(
    "--history",
    type=click.FloatRange(0, 7200),
    default=60,
    show_default=True,
    help="Seconds of load on stable before the first canary that is judged: its noise is then known better.",
)
@click.option(
    "--interval",
    type=click.IntRange(1, 60),
    default=models.INTERVAL_SECONDS,
    show_default=True,
    help="Seconds between two polls.",
)
@click.option("--name", default=NAME, show_default=True, help="Name of the cluster.")
@click.option("--keep", is_flag=True, help="Leave the cluster running.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def main(
    scenarios: str,
    runs: int,
    rps: float,
    at_once: int,
    history: float,
    interval: int,
    name: str,
    keep: bool,  # noqa: FBT001 - click hands over all options alike
    output: str,
) -> None:
    """Measure canaries on a real node: verdicts, ways back, promotions, and what users notice of them."""
    names = scenarios.split(",") if scenarios else list(SCENARIOS)
    if unknown := [each for each in names if each not in SCENARIOS]:
        raise click.UsageError(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    about = Circumstances(rps=rps, weight_percent=WEIGHT_PERCENT, interval=interval)
    archive = build_image("model-server")
    with prepared(name, node=True, gateway=True, keep=keep) as setting:
        setting.cluster.load_image(archive)
        setting.admin.apply(models.runtime())
        setting.operator.start()
        found = asyncio.run(_measure(setting, names, runs, about, at_once, history))
    click.echo(_as_json(found, about) if output == "json" else f"\n{_as_text(found)}")


if __name__ == "__main__":
    main()
