"""`python -m lanes`: the tests that need a real Kubernetes, in several lanes side by side."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import click

from devcluster import versions
from lanes import DEFAULT, PROCESSOR, SECONDS, known_seconds
from support.accounts import FOLDER

NOTHING_COLLECTED = 5
"""pytest's exit code when the paths hold no test of that mark."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, type=click.Path(exists=True))
@click.option(
    "--lanes", default=DEFAULT, show_default=True, type=click.IntRange(1, 8), help="Lanes side by side."
)
@click.option("--drawn-order", type=int, metavar="SEED", help="Draw the order of modules and of their tests.")
@click.option("--busy", default=0, type=click.IntRange(0, 16), help="So many busy loops beside.")
@click.option(
    "--measure",
    is_flag=True,
    help="Write down how long each module took, and show where processor time goes.",
)
@click.option(
    "--integrations", is_flag=True, help="The tests that are slow by nature, instead of all others."
)
def main(
    paths: tuple[str, ...],
    lanes: int,
    drawn_order: int | None,
    busy: int,
    measure: bool,  # noqa: FBT001 - click passes it by name
    integrations: bool,  # noqa: FBT001 - click passes it by name
) -> None:
    """Run tests that need a real Kubernetes (default: tests/cluster tests/e2e), each lane with a cluster of its own.

    At the end the operator's rights are compared with what it asked for in all lanes. Exit codes are pytest's.
    """
    chosen = paths or ("tests/cluster", "tests/e2e")
    with tempfile.TemporaryDirectory(prefix="modelward-lanes-") as folder, busy_loops(busy):
        flags = ["-m", f"{'' if integrations else 'not '}integrations and not last"]
        flags += [f"--drawn-order={drawn_order}"] if drawn_order is not None else []
        flags += ["--measure"] if measure else []
        split = ["-n", str(lanes), "--dist", "load", "--lanes", "--no-loadscope-reorder"]
        report = Path(folder) / "report.xml"
        codes = [_pytest(folder, chosen, [*flags, *split, f"--junit-xml={report}"])]
        seconds = _seconds(report)
        if measure:
            print(_where_time_goes(report))
        if codes[0] in {0, 1, NOTHING_COLLECTED}:
            partial = bool(paths) or integrations
            codes.append(_pytest(folder, chosen, ["-m", "last and not whole" if partial else "last"]))
        print(f"Kubernetes {versions.release(versions.chosen())};", _table(seconds))
        if measure:
            whole = known_seconds() | seconds
            SECONDS.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.exit(next((code for code in codes if code not in {0, NOTHING_COLLECTED}), codes[0]))


def _pytest(folder: str, paths: Sequence[str], flags: Sequence[str]) -> int:
    argv = [sys.executable, "-m", "pytest", "-q", *flags, *paths]
    return subprocess.run(argv, env=os.environ | {FOLDER: folder}, check=False).returncode


def _seconds(report: Path) -> dict[str, int]:
    """Seconds of each module, set-up included."""
    found: dict[str, float] = defaultdict(float)
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by the pytest that ran just now
        place = case.get("classname", "").split(".")
        found["/".join(place)] += float(case.get("time", 0))
    return {place: round(each) for place, each in found.items()}


def _where_time_goes(report: Path) -> str:
    """Modules and tests by processor seconds, each beside its wall-clock seconds."""
    modules: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0])
    tests = []
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by the pytest that ran just now
        module, wall = case.get("classname", "").split(".")[-1], float(case.get("time", 0))
        busy = sum(
            float(each.get("value", 0)) for each in case.iter("property") if each.get("name") == PROCESSOR
        )
        modules[module] = [old + new for old, new in zip(modules[module], (busy, wall, 1), strict=True)]
        tests.append((busy, wall, f"{module}::{case.get('name')}"))
    rows = [f"{busy:7.1f} {wall:7.1f} {count:5.0f}  {name}" for name, (busy, wall, count) in
            sorted(modules.items(), key=lambda each: -each[1][0])]  # fmt: skip
    slow = [f"{busy:7.1f} {wall:7.1f}        {name}" for busy, wall, name in sorted(tests, reverse=True)[:60]]
    whole = [sum(column) for column in zip(*modules.values(), strict=True)]
    head = "processor  wall  tests"
    return "\n".join([head, f"{whole[0]:7.1f} {whole[1]:7.1f} {whole[2]:5.0f}  all", *rows, "", head, *slow])


def _table(seconds: dict[str, int]) -> str:
    longest = sorted(seconds.items(), key=lambda each: -each[1])[:10]
    return "the longest modules, in seconds: " + ", ".join(f"{place} {each}" for place, each in longest)


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Keep so many processors busy: what only passes on a quiet machine does not pass here."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    main()
