"""Before anything happens in a cluster that is not the demonstration's own: what will, and whether it may."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from demo.console import Console
from demo.errors import RefusedError
from demo.images import Images
from demo.objects import NAMESPACE, Action, Planned
from demo.places import Place

VARIABLE = "DEMO_YES"


def ask(place: Place, plan: Sequence[Planned], images: Images, console: Console) -> None:
    """Show the plan and have it accepted. Raises RefusedError; nothing was done then."""
    console.plain()
    console.plain(f"This is a cluster of yours: {place.name}. The demonstration will")
    console.plain()
    console.show(str(each) for each in plan)
    console.plain()
    console.plain(
        "run two model servers (20m CPU, 96 MiB each) and the operator there, and change the model in"
    )
    console.plain(
        f"{NAMESPACE} once. What is kept is used as it is. `make demo-down` deletes what was created,"
    )
    console.plain("with all that is in these namespaces, and nothing else.")
    for image in images.local:
        console.plain(f"{image} is in no registry: it must be on the cluster's nodes already.")
    console.plain()
    if all(each.action is not Action.CREATE for each in plan):
        return
    if os.environ.get(VARIABLE) == "1":
        console.say(f"{VARIABLE}=1: accepted")
    elif not sys.stdin.isatty():
        raise RefusedError(f"nothing was done: set {VARIABLE}=1 to accept this")
    elif input("Type yes to go on: ").strip() != "yes":
        raise RefusedError("nothing was done")
