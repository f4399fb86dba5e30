"""`python -m faults.disturb events|requests|streams|absence`: all that the operator hears and asks, struck in every way."""

import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from conftest import FAKE_NODES, OPERATOR_NAMESPACE, install
from devcluster import ensure_up
from faults.api_faults import Away, OneRequest, request_faults
from faults.crowd import PATIENCE_SECONDS, Crowd, Each, OfOne, Trial
from faults.outcome import Outcome
from faults.plan import PASS
from faults.watch_faults import KINDS, STREAM_FAULTS, Mixed, OneEvent, Stream, event_faults, mixed
from faults.workloads import BY_NAME, Workload
from support.kubectl import Kubectl

WORKLOADS: Final = (
    "good canary",
    "bad canary",
    "delete",
    "good canary by metrics of pods",
    "bad canary by metrics of pods",
    "good canary by metrics of Prometheus",
    "bad canary by metrics of Prometheus",
)
QUICK: Final = (
    "good canary",
    "bad canary",
    "delete",
    "bad canary by metrics of pods",
    "bad canary by metrics of Prometheus",
)
"""Those of which the tests draw."""
TRIES: Final = 4
"""For a fault that does not strike, because fewer events or requests came than in the run before."""
BATCH: Final = 40
UNDISTURBED: Final = 3
Strikes = list[tuple[Workload, str, OfOne]]
EXIT_BROKEN: Final = 1
MOST_LISTS: Final = 4 * len(KINDS)
"""After a fault of all streams: each is begun anew a few times, and lists once each time."""


def undisturbed(
    crowd: Crowd, names: tuple[str, ...], none: Callable[[], OfOne], times: int = UNDISTURBED
) -> list[Trial]:
    """Each workload some times without a fault: what it comes to, how many events and requests it has."""
    trials = crowd.run([(BY_NAME[name], "nothing", none()) for name in names for _ in range(times)])
    for each in trials:
        assert not each.problems, f"undisturbed {each.workload.name}: {each.problems}"
    return trials


def outcomes(trials: list[Trial]) -> dict[str, Outcome]:
    """By workload; what may come once may come."""
    return {each.workload.name: each.outcome for each in trials if each.outcome}


def event_strikes(trials: list[Trial]) -> Iterator[tuple[Workload, str, OfOne]]:
    """All events of the longest undisturbed run of each workload, in every way."""
    for name, count in _most(trials, lambda each: each.plan.frames).items():
        for says, plan in event_faults(count):
            yield BY_NAME[name], says, plan


def request_strikes(trials: list[Trial]) -> Iterator[tuple[Workload, str, OfOne]]:
    """All requests of the longest undisturbed run of each workload, in every way."""
    for name, count in _most(trials, lambda each: each.plan.asked).items():
        for says, plan in request_faults(count):
            yield BY_NAME[name], says, plan


def _most(trials: list[Trial], count: Callable[[Trial], int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in trials:
        found[each.workload.name] = max(found.get(each.workload.name, 0), count(each))
    return found


def all_struck(
    crowd: Crowd, strikes: Strikes, ends: dict[str, Outcome], beside: Strikes | None = None
) -> list[Trial]:
    """Run each until its fault has struck: one whose number did not come is run again, at the last that did.

    What runs `beside` them, without a fault, comes first.
    """
    controls = beside or []
    trials = crowd.run([*controls, *strikes], ends)
    for _ in range(TRIES):
        again = {
            at: (each.workload, each.says, plan)
            for at, each in enumerate(trials)
            if at >= len(controls)
            and not (each.plan.struck or each.problems)
            and (plan := each.plan.sooner())
        }
        if again:
            repeated = crowd.run(list(again.values()), ends)
            trials = [dict(zip(again, repeated, strict=True)).get(at, each) for at, each in enumerate(trials)]
    return trials


def missed(trials: list[Trial]) -> list[str]:
    """Those whose fault has struck nothing: they show nothing."""
    return [reported(each) for each in trials if not each.plan.struck]


def usual_seconds(trials: list[Trial]) -> dict[str, float]:
    """How long each workload takes, by its name."""
    names = {each.workload.name for each in trials}
    return {
        name: statistics.median(each.seconds for each in trials if each.workload.name == name)
        for name in names
    }


def drawn(strikes: Strikes, count: int | None, seed: int) -> Strikes:
    """So many of them, the same for the same seed; all for None."""
    return random.Random(seed).sample(strikes, min(count, len(strikes))) if count else strikes


def reported(trial: Trial) -> str:
    """A line about a trial."""
    held = "held" if not trial.problems else "BROKEN " + "; ".join(trial.problems)
    return f"{trial.workload.name}, {trial.says} ({trial.plan.struck or 'nothing'}): {trial.seconds:.1f} s, {trial.late:.1f} s late, {held}"


def streams(crowd: Crowd, ends: dict[str, Outcome]) -> Iterator[Trial]:
    """Every fault of streams: of all kinds at once, and then each kind's another one."""
    for name, make in STREAM_FAULTS.items():
        yield stream_trial(crowd, ends, f"{name}: all kinds", make(frozenset(KINDS)))
    for number in range(len(STREAM_FAULTS)):
        yield stream_trial(crowd, ends, f"each kind another: {number}", mixed(number))


def stream_trial(crowd: Crowd, ends: dict[str, Outcome], says: str, plan: Stream | Mixed) -> Trial:
    """A good canary while streams fail. They are broken once, so that some fail when they connect anew."""
    crowd.plan = Each(always=plan)
    (trial,) = crowd.run([(BY_NAME["good canary"], says, OfOne())], ends, disturb=crowd.proxy.cut)
    trial.plan.struck = ", ".join(sorted(plan.struck))
    if crowd.plan.lists > MOST_LISTS:
        trial.problems.append(f"{crowd.plan.lists} full lists")
    crowd.plan = Each()
    return trial


def absence(crowd: Crowd, seconds: float) -> tuple[list[Trial], int]:
    """The API server goes in mid-canary, and comes back; how often it was asked meanwhile."""
    plan = Away()
    crowd.plan = Each(always=plan)

    def leave() -> None:
        plan.leave(seconds)
        crowd.proxy.cut()

    trials = crowd.run(
        [(BY_NAME[name], f"away for {seconds:.0f} s", OfOne()) for name in WORKLOADS],
        disturb=leave,
        patience=PATIENCE_SECONDS + seconds,
    )
    crowd.plan = Each()
    for each in trials:
        each.plan.struck = f"{plan.tried} requests" if plan.tried else ""
    return trials, plan.tried


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("what", type=click.Choice(["events", "requests", "streams", "absence"]))
@click.option("--sample", "count", type=click.IntRange(1), help="So many, drawn by the seed. Default: all.")
@click.option("--seed", default=1, show_default=True, help="What the sample is drawn with.")
@click.option(
    "--resync-seconds", default=3.0, show_default=True, help="The operator's pause between two sweeps."
)
@click.option("--workload", "names", multiple=True, type=click.Choice(WORKLOADS), help="Only this one.")
@click.option(
    "--fault", "fault", default="", help="Only faults whose words hold this, as `dropped` or `reset`."
)
@click.option(
    "--seconds",
    type=click.FloatRange(1),
    default=600.0,
    show_default=True,
    help="How long it is away.",
)
@click.option("--batch", default=BATCH, show_default=True, help="Models at once.")
@click.option(
    "--cluster", "name", default="faults", show_default=True, help="Development cluster, started if needed."
)
def main(
    what: str,
    count: int | None,
    seed: int,
    resync_seconds: float,
    names: tuple[str, ...],
    fault: str,
    seconds: float,
    batch: int,
    name: str,
) -> None:
    """Strike every watch event, or every request, of some workloads in every way, or every stream, or be away.

    A line for each, and a table. Exit codes: 0 all struck and held, 1 something did not.
    """
    cluster = ensure_up(name, kwok=FAKE_NODES)
    click.echo(f"Kubernetes {cluster.kubernetes}", err=True)
    install(Kubectl(cluster))
    credentials = cluster.kubeconfig_for(OPERATOR_NAMESPACE, "modelward")
    directory = Path(tempfile.mkdtemp(prefix="modelward-disturb-"))
    flags = ("--no-leader-election", f"--resync-seconds={resync_seconds}")
    done: list[Trial] = []
    with Crowd(cluster, credentials, directory, *flags) as crowd:
        none = (lambda: OneRequest(0, PASS)) if what == "requests" else lambda: OneEvent(0)
        first = undisturbed(crowd, names or WORKLOADS, none)
        ends = outcomes(first)
        if what == "streams":
            usual = usual_seconds(first)
            for trial in streams(crowd, ends):
                _report(trial, done, usual)
        elif what == "absence":
            trials, tried = absence(crowd, seconds)
            usual = usual_seconds(first)
            for trial in trials:
                _report(trial, done, usual)
            click.echo(f"{tried} requests while it was away, {tried / seconds:.1f}/s", err=True)
        else:
            found = event_strikes(first) if what == "events" else request_strikes(first)
            strikes = drawn([each for each in found if fault in each[1]], count, seed)
            controls: Strikes = [(BY_NAME[each], "nothing", none()) for each in names or WORKLOADS]
            for at in range(0, len(strikes), batch):
                trials = all_struck(crowd, strikes[at : at + batch], ends, controls)
                usual = usual_seconds(trials[: len(controls)])
                for trial in trials[len(controls) :]:
                    _report(trial, done, usual)
        errors = crowd.operator.metric("modelward_reconcile_errors_total", reason="Unexpected")
    click.echo(table(done))
    click.echo(f"unexpected errors: {errors:.0f}; log: {directory / 'operator.log'}")
    sys.exit(EXIT_BROKEN if errors or missed(done) or any(each.problems for each in done) else 0)


def _report(trial: Trial, done: list[Trial], usual: dict[str, float]) -> None:
    trial.late = max(0.0, trial.seconds - usual[trial.workload.name])
    done.append(trial)
    click.echo(reported(trial), err=True)


def table(trials: list[Trial]) -> str:
    """Tried, struck, held and the longest delay, by workload and fault."""
    groups: dict[tuple[str, str], list[Trial]] = {}
    for each in trials:
        kind = each.says.partition(": ")[0]
        words = kind.split(" ", 2)[2] if kind.startswith(("event ", "request ")) else kind
        groups.setdefault((each.workload.name, words), []).append(each)
    lines = ["| workload | fault | tried | struck | held | longest delay |", "|---|---|---|---|---|---|"]
    for (workload, words), group in groups.items():
        counts = Counter(bool(each.problems) for each in group)
        late = max(each.late for each in group)
        struck = sum(bool(each.plan.struck) for each in group)
        lines.append(f"| {workload} | {words} | {len(group)} | {struck} | {counts[False]} | {late:.1f} s |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
