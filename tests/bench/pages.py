"""Nine servers, and ways in which their pages are wrong or only unusual: what comes of canaries that are judged by them.

`make bench-pages`, or `python -m bench.pages --rollouts 20 --server Triton`. A silent way must never be promoted, and what
says nothing against a canary may roll back one of a hundred. Exit code 1 if one of both is missed.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import click

from unit.sampling.rollouts_of_pages import rollout
from unit.sampling.servers import SERVERS, Server
from unit.sampling.wrong_pages import BAD, SILENT, UNUSUAL, Way

POLLS = 60
MOST_ROLLED_BACK = 0.01


@dataclass
class Count:
    """What came of the rollouts of one way."""

    rollouts: int = 0
    advanced: int = 0
    rolled_back: int = 0
    unknown: int = 0

    def take(self, server: Server, way: Way, seed: int) -> None:
        """Play one more."""
        reported = rollout(way(server, seed), hits=server.hits, total=server.total, polls=POLLS)
        self.rollouts += 1
        self.advanced += reported.advanced
        self.rolled_back += reported.rolled_back
        self.unknown += reported.problem is not None

    def plus(self, other: "Count") -> "Count":
        """Of both."""
        return Count(
            self.rollouts + other.rollouts,
            self.advanced + other.advanced,
            self.rolled_back + other.rolled_back,
            self.unknown + other.unknown,
        )

    def row(self, name: str) -> str:
        """As Markdown."""
        return f"| {name} | {self.rollouts} | {self.advanced} | {self.rolled_back} | {self.unknown} |"


def _counted(way: Way, servers: Iterable[Server], rollouts: int) -> Count:
    count = Count()
    for server in servers:
        for seed in range(rollouts):
            count.take(server, way, seed)
    return count


def _table(title: str, ways: dict[str, Way], servers: list[Server], rollouts: int) -> dict[str, Count]:
    print(f"\n| {title} | rollouts | promoted | rolled back | unknown at the end |\n|---|---|---|---|---|")
    counts = {}
    for name, way in ways.items():
        counts[name] = _counted(way, servers, rollouts)
        print(counts[name].row(name), flush=True)
    return counts


def _sum(counts: Iterable[Count]) -> Count:
    total = Count()
    for count in counts:
        total = total.plus(count)
    return total


@click.command()
@click.option("--rollouts", default=10, show_default=True, help="Of each way and server.")
@click.option("--server", "only", multiple=True, help="Of these servers alone.")
def main(rollouts: int, only: tuple[str, ...]) -> None:
    """Play all, and print what came of them."""
    servers = [server for server in SERVERS if not only or server.name in only]
    silent = _table("silent: must not be promoted", SILENT, servers, rollouts)
    unusual = _table("unusual: arms are alike", UNUSUAL, servers, rollouts)
    promoted = _sum(silent.values()).advanced
    innocent = _sum([count for way, count in (silent | unusual).items() if way not in BAD])
    share = innocent.rolled_back / innocent.rollouts
    print(f"\n{len(servers)} servers x {len(silent) + len(unusual)} ways x {rollouts} rollouts:")
    print(
        f"promoted on silence {promoted} of {_sum(silent.values()).rollouts}, rolled back without cause {share:.2%}"
    )
    sys.exit(promoted > 0 or share > MOST_ROLLED_BACK)


if __name__ == "__main__":
    main()
