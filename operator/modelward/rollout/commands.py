"""Commands: annotations that a person sets and that the operator acknowledges in `status.commands`.

Each value is handled once, whenever it is seen; a command that does not apply is acknowledged and does
nothing. `restart`, `refresh` and `retry` raise the nonce, so what they start is a revision like any other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from modelward.api.model import Model
from modelward.api.status import CommandsStatus, ModelDeploymentStatus
from modelward.rollout.revisions import revision_hash

HANDLED: Final = ("abort", "retry", "restart", "refresh")
"""The commands that this version carries out, in the order in which they win over each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the new commands come to."""

    acknowledged: CommandsStatus
    starts_anew: bool = False
    """What spec asks for is to be started once more, under a new nonce."""
    retried: str = ""
    """The rejected content that may be tried again."""
    aborted: str = ""
    """The awaited revision that is to be taken back."""
    ignored: tuple[str, ...] = ()
    """Why commands that do not apply do nothing, in words."""


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
    content = revision_hash(model.fields)
    if any(entry.content == content != retried for entry in status.rejected_revisions):
        starts = False  # what spec asks for was rejected, and stays so
    else:
        starts = retried == content or "restart" in new or "refresh" in new
    aborted = new.get("abort", "")
    return Order(
        acknowledged=acknowledged,
        starts_anew=starts,
        retried=retried,
        aborted=aborted if aborted == status.canary_revision else "",
        ignored=tuple(_ignored(new, status, retried)),
    )


def _ignored(new: Mapping[str, str], status: ModelDeploymentStatus, retried: str) -> Iterator[str]:
    if (abort := new.get("abort")) and abort != status.canary_revision:
        awaited = f"{status.canary_revision} is" if status.canary_revision else "nothing is"
        yield f"abort: {abort} is not on its way ({awaited})."
    if "retry" in new and not retried:
        known = ", ".join(entry.revision for entry in status.rejected_revisions) or "none"
        yield f"retry: {new['retry']} names no rejected revision (<revision>/<anything new>; rejected: {known})."


def present(model: Model) -> CommandsStatus:
    """All commands that are there, as acknowledged."""
    values = {name: model.commands[name] for name in HANDLED if name in model.commands}
    return msgspec.structs.replace(model.status.commands, **values)


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
