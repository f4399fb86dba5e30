"""Commands: annotations that a person sets and that the operator acknowledges in `status.commands`.

Each value is handled once, whenever it is seen; a command that does not apply is acknowledged and does
nothing. `restart`, `refresh` and `retry` raise the nonce, so what they start is a revision like any other.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from modelward.api.model import Model
from modelward.api.status import CommandsStatus, ModelDeploymentStatus

HANDLED: Final = ("abort", "retry", "restart", "refresh")
"""The commands that this version carries out, in the order in which they win over each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the new commands come to."""

    acknowledged: CommandsStatus
    new_nonces: int = 0
    """By how much the nonce rises: 1 when anything is to be started anew."""
    retried: str = ""
    """The rejected content that may be tried again."""
    aborted: str = ""
    """The awaited revision that is to be taken back."""


def pending(model: Model, status: ModelDeploymentStatus) -> Order:
    """The commands whose value differs from the one acknowledged last."""
    values = {name: model.commands[name] for name in HANDLED if name in model.commands}
    new = {name: value for name, value in values.items() if value != getattr(status.commands, name)}
    if not new:
        return Order(acknowledged=status.commands)
    acknowledged = msgspec.structs.replace(status.commands, **new)
    if not status.stable_revision:
        return Order(acknowledged=acknowledged)
    retried = _rejected_content(status, new.get("retry", "").partition("/")[0])
    starts = bool(retried) or "restart" in new or "refresh" in new
    return Order(
        acknowledged=acknowledged, new_nonces=int(starts), retried=retried, aborted=new.get("abort", "")
    )


def _rejected_content(status: ModelDeploymentStatus, revision: str) -> str:
    return next((entry.content for entry in status.rejected_revisions if entry.revision == revision), "")


def keeps_pinned_runtime(model: Model) -> bool:
    """Whether the latest command is a plain restart, which promises the same pods again.

    `model.status` still has what was acknowledged before; a refresh in the same look wins over a restart.
    """
    before = model.status.commands
    restarted = model.commands.get("restart", before.restart) != before.restart
    refreshed = model.commands.get("refresh", before.refresh) != before.refresh
    return restarted and not refreshed
