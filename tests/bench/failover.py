"""How soon another operator takes over, and whether anybody ever writes out of turn, in a thousand losses of the lead.

`make bench-failover`, or `python -m bench.failover --help`. Pairs of real operators, each pair with a Lease and a
namespace of its own, side by side on one API server; every operator reaches it on a way that can be cut.
"""

import itertools
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from bench.figures import Figure, as_json, as_table
from bench.setting import NAMESPACE, Setting, prepared
from conftest import OPERATOR_NAMESPACE
from support.kubectl import Kubectl
from support.models import fake_model
from support.replicas import Harm, Replica, Replicas, changing
from support.terms import Account, account
from support.waiting import until

REAL: Final = {"leaseSeconds": 15, "renewDeadlineSeconds": 10.0, "retrySeconds": 2.0}
SHORT: Final = {"leaseSeconds": 1, "renewDeadlineSeconds": 0.7, "retrySeconds": 0.2}
FROZEN_SECONDS: Final = 60.0
CHANGE_SECONDS: Final = 0.25
SETTLE_SECONDS: Final = 1.0
"""The last lines of the audit log are on their way."""
TARGETS: Final = {Harm.KILL: 17.0, Harm.END: 3.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One loss of the lead, in seconds since the harm; by the clock that the audit log has, too."""

    how: Harm
    taken: float
    """The heir held the Lease."""
    wrote: float
    """The API server had answered its first write."""


@dataclass(slots=True)
class Tally:
    """What the short Leases showed."""

    losses: Counter[Harm] = field(default_factory=Counter)
    terms: int = 0
    writes: int = 0
    sent_out_of_turn: list[str] = field(default_factory=list)
    landed_out_of_turn: list[str] = field(default_factory=list)
    late_creates: list[str] = field(default_factory=list)
    refused_out_of_turn: int = 0
    """Sent in turn, held up on a cut way, and not accepted when they arrived at last."""

    def add(self, found: Account, replicas: Replicas) -> None:
        """Take in what became of one pair."""
        self.terms += len(found.terms)
        self.writes += len(found.writes)
        self.sent_out_of_turn += [
            f"{who} at {when:.3f}" for who, when in found.sent_out_of_turn(replicas.sent())
        ]
        self.landed_out_of_turn += [str(each) for each in found.landed_out_of_turn()]
        self.late_creates += [str(each) for each in found.late_creates()]
        self.refused_out_of_turn += len(found.refused_out_of_turn())


@dataclass(frozen=True, slots=True)
class Bench:
    """Where pairs are made."""

    setting: Setting
    directory: Path
    credentials: Path

    def pair(self, name: str, timing: dict[str, float]) -> Replicas:
        """Two operators of a new namespace, not started yet."""
        self.setting.admin("create", "namespace", name)
        self.setting.admin("label", "namespace", name, "purpose=bench")
        directory = self.directory / name
        directory.mkdir()
        return Replicas(self.setting.cluster, self.credentials, directory, name, **timing)

    def takeovers(self, how: Harm, rounds: int) -> list[Loss]:
        """So many losses of the real Lease, one after the other, with work for the heir in each."""
        losses = []
        name = f"{NAMESPACE}-{how.name.lower()}"
        with self.pair(name, REAL) as replicas:
            replicas.launch(2)
            for number in range(rounds):
                losses.append(self._takeover(replicas, how, number))
                self.setting.say(f"{how}: taken over after {losses[-1].taken:.2f} s")
        return losses

    def _takeover(self, replicas: Replicas, how: Harm, number: int) -> Loss:
        leader = replicas.leader()
        time.sleep(random.Random(number).uniform(2, 6))
        harmed = time.time()
        leader.harm(how)
        Kubectl(self.setting.cluster, replicas.namespace).apply(fake_model(f"model-{number}", replicas=0))
        heir = replicas.leader(but=leader)
        found = until(lambda: self._loss(replicas, heir, how, harmed), "the heir writes")
        assert found is not None
        if how is Harm.FREEZE:
            time.sleep(max(0.0, FROZEN_SECONDS - (time.time() - harmed)))
        leader.reconnect()
        replicas.wait_ready()
        return found

    def _loss(self, replicas: Replicas, heir: Replica, how: Harm, harmed: float) -> Loss | None:
        found = account(self.setting.cluster.audit_log, replicas.lease, since=harmed)
        taken = [term.taken for term in found.terms if term.who == heir.identity]
        wrote = [write.answered for write in found.writes if write.who == heir.identity and write.accepted]
        return Loss(how=how, taken=taken[0] - harmed, wrote=wrote[0] - harmed) if taken and wrote else None

    def trials(self, number: int, count: int, tally: Tally) -> None:
        """So many losses of a short Lease under constant work."""
        chance = random.Random(number)
        since = time.time()
        namespace = f"{NAMESPACE}-pair-{number}"
        with self.pair(namespace, SHORT) as replicas:
            replicas.launch(2)
            with changing(self.setting.cluster, namespace, pause=CHANGE_SECONDS, seed=number):
                for done in itertools.count(1):
                    self._trial(replicas, chance, tally)
                    if done % 25 == 0 or done == count:
                        self.setting.say(f"pair {number}: {done} of {count} losses")
                    if done == count:
                        break
            time.sleep(SETTLE_SECONDS)
            tally.add(account(self.setting.cluster.audit_log, replicas.lease, since=since), replicas)

    def _trial(self, replicas: Replicas, chance: random.Random, tally: Tally) -> None:
        leader = replicas.leader()
        time.sleep(chance.uniform(0, 0.4))
        # Two of three leave the former leader alive and ignorant: those are the ones that might write out of turn.
        how = chance.choice([Harm.FREEZE, Harm.FREEZE, Harm.CUT, Harm.CUT, Harm.KILL, Harm.END])
        leader.harm(how)
        replicas.leader(but=leader)
        leader.reconnect()
        replicas.wait_ready()
        tally.losses[how] += 1


def figures_of(losses: Iterable[Loss], tally: Tally) -> list[Figure]:
    """Medians, extremes and counts."""
    found = []
    for how, group in itertools.groupby(sorted(losses, key=lambda each: each.how), key=lambda each: each.how):
        rounds = list(group)
        for title, values in (
            ("lease taken", [each.taken for each in rounds]),
            ("first write of the heir", [each.wrote for each in rounds]),
        ):
            spread = f"{min(values):.2f} to {max(values):.2f} s in {len(values)} rounds"
            key = f"{how.name.lower()}_{title.split()[0]}"
            found.append(
                Figure(
                    key=f"{key}_median",
                    title=f"{how} to {title}: median",
                    value=statistics.median(values),
                    unit="s",
                    note=spread,
                )
            )
            found.append(
                Figure(
                    key=f"{key}_worst",
                    title=f"{how} to {title}: worst",
                    value=max(values),
                    unit="s",
                    target=TARGETS.get(how),
                )
            )
    counts = ", ".join(f"{number} x {how}" for how, number in sorted(tally.losses.items()))
    found += [
        Figure(key="losses", title="losses of a 1 s Lease", value=tally.losses.total(), note=counts),
        Figure(key="terms", title="terms", value=tally.terms),
        Figure(key="writes", title="writes in them", value=tally.writes),
        Figure(key="sent", title="sent out of turn", value=len(tally.sent_out_of_turn), target=0),
        Figure(
            key="landed",
            title="changes and deletions accepted out of turn",
            value=len(tally.landed_out_of_turn),
            target=0,
        ),
        Figure(
            key="late_creates",
            title="creates accepted out of turn",
            value=len(tally.late_creates),
            note="sent in turn, held up on a cut way",
        ),
        Figure(
            key="refused",
            title="arrived out of turn, not accepted",
            value=tally.refused_out_of_turn,
            note="sent in turn, held up on a cut way",
        ),
    ]
    return found


@click.command()
@click.option(
    "--trials",
    type=click.IntRange(0, 100_000),
    default=1_000,
    show_default=True,
    help="Losses of a short Lease.",
)
@click.option(
    "--rounds",
    type=click.IntRange(0, 1_000),
    default=10,
    show_default=True,
    help="Losses of the real Lease by each harm; SIGSTOP takes a minute each and gets a fifth.",
)
@click.option(
    "--pairs", type=click.IntRange(1, 16), default=4, show_default=True, help="Pairs of operators at once."
)
@click.option("--name", default="bench-fail", show_default=True, help="Name of the cluster.")
@click.option("--keep", is_flag=True, help="Leave the cluster running.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def main(trials: int, rounds: int, pairs: int, name: str, keep: bool, output: str) -> None:  # noqa: FBT001 - click hands over options
    """Measure takeovers, and look for writes out of turn."""
    tally = Tally()
    with (
        prepared(name, fake_nodes=2, keep=keep) as setting,
        tempfile.TemporaryDirectory() as directory,
        ThreadPoolExecutor(max_workers=max(pairs, len(Harm))) as pool,
    ):
        credentials = setting.cluster.kubeconfig_for(OPERATOR_NAMESPACE, "modelward")
        bench = Bench(setting, Path(directory), credentials)
        frozen = {Harm.FREEZE: (rounds + 4) // 5}
        measuring = [pool.submit(bench.takeovers, how, frozen.get(how, rounds)) for how in Harm if rounds]
        losses = [loss for each in measuring for loss in each.result()]
        shares = [trials // pairs + (number < trials % pairs) for number in range(pairs)]
        losing = [
            pool.submit(bench.trials, number, share, tally) for number, share in enumerate(shares) if share
        ]
        for each in losing:
            each.result()
        figures = figures_of(losses, tally)
        for line in [*tally.sent_out_of_turn, *tally.landed_out_of_turn, *tally.late_creates]:
            setting.say(f"out of turn: {line}")
    if output == "json":
        click.echo(as_json(figures, trials=trials, rounds=rounds, pairs=pairs))
    else:
        click.echo(f"\n{as_table(figures)}")


if __name__ == "__main__":
    main()
