"""Commands: annotations that a person sets and that the operator acknowledges in `status.commands`.

Each value is handled once, whenever it is seen, and names the revision it means; a command that does not apply
is acknowledged, does nothing, and an Event says why. `restart`, `refresh` and `retry` raise the nonce, so what
they start is a revision like any other.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from modelward.api.model import Model
from modelward.api.revision import Revision, revision_hash
from modelward.api.status import CommandsStatus, ModelDeploymentStatus
from modelward.rollout.phases import WITH_CANARY, Phase, phase_of

HANDLED: Final = ("abort", "rollback", "promote", "approve", "retry", "restart", "refresh", "adopt")
"""All commands, in the order in which they win over each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the new commands come to."""

    acknowledged: CommandsStatus
    starts_anew: bool = False
    """What spec asks for is to be started once more, under a new nonce."""
    retried: str = ""
    """The rejected content that may be tried again."""
    aborted: str = ""
    """The revision that is to be taken back: the canary, or the one that is watched after its promotion."""
    rolled_back_to: str = ""
    """The kept revision that is to serve again."""
    promoted: str = ""
    """The canary that is to get all traffic."""
    approved: int | None = None
    """The step of the canary that may begin."""
    ignored: tuple[str, ...] = ()
    """Why commands that do not apply do nothing: messages."""


def pending(model: Model, status: ModelDeploymentStatus, revisions: Mapping[str, Revision]) -> Order:
    """The commands whose value differs from the one acknowledged last, as far as they apply."""
    values = {name: model.commands[name] for name in HANDLED if name in model.commands}
    new = {name: value for name, value in values.items() if value != getattr(status.commands, name)}
    if not new:
        return Order(acknowledged=status.commands)
    acknowledged = msgspec.structs.replace(status.commands, **new)
    if not (status.stable_revision or status.rejected_revisions):
        return Order(acknowledged=acknowledged)
    refusals = dict(_refused(new, model, status, revisions))
    taken = {name: value for name, value in new.items() if name not in refusals}
    retried = _rejected_content(status, taken["retry"].partition("/")[0]) if "retry" in taken else ""
    # One command about the canary at a time: the safest wins.
    first = next((name for name in ("abort", "rollback", "promote", "approve") if name in taken), "")
    return Order(
        acknowledged=acknowledged,
        starts_anew=not first and _starts_anew(taken, model, status, retried),
        retried=retried,
        aborted=taken["abort"] if first == "abort" else "",
        rolled_back_to=taken["rollback"].partition("/")[0] if first == "rollback" else "",
        promoted=taken["promote"] if first == "promote" else "",
        approved=_approved_step(taken["approve"], status) if first == "approve" else None,
        ignored=tuple(f"{name}: {why}" for name, why in refusals.items()),
    )


def present(model: Model) -> CommandsStatus:
    """All commands that are there, as acknowledged."""
    values = {name: model.commands[name] for name in HANDLED if name in model.commands}
    return msgspec.structs.replace(model.status.commands, **values)


def keeps_pinned_runtime(model: Model) -> bool:
    """Whether the latest command is a plain restart, which promises the same pods again.

    `model.status` still has what was acknowledged before; a refresh in the same reconcile wins over a restart.
    """
    before = model.status.commands
    restarted = model.commands.get("restart", before.restart) != before.restart
    refreshed = model.commands.get("refresh", before.refresh) != before.refresh
    return restarted and not refreshed


def _starts_anew(taken: Mapping[str, str], model: Model, status: ModelDeploymentStatus, retried: str) -> bool:
    content = revision_hash(model.fields)
    if any(entry.content == content != retried for entry in status.rejected_revisions):
        return False  # what spec asks for was rejected, and stays so
    return retried == content or "restart" in taken or "refresh" in taken


def _refused(
    new: Mapping[str, str], model: Model, status: ModelDeploymentStatus, revisions: Mapping[str, Revision]
) -> Iterator[tuple[str, str]]:
    """Name and reason of every command that does not apply."""
    checks: dict[str, Callable[[str], str]] = {
        "abort": partial(_cannot_abort, status=status),
        "rollback": partial(_cannot_return, status=status, revisions=revisions),
        "promote": partial(_cannot_promote, status=status),
        "approve": partial(_cannot_approve, model=model, status=status),
        "retry": partial(_cannot_retry, status=status),
        "adopt": partial(_cannot_adopt, status=status),
        "restart": partial(_cannot_start_anew, model=model, status=status, retries="retry" in new),
        "refresh": partial(_cannot_start_anew, model=model, status=status, retries="retry" in new),
    }
    for name, check in checks.items():
        if name in new and (why := check(new[name])):
            yield name, why


def _cannot_adopt(value: str, status: ModelDeploymentStatus) -> str:
    """What was taken back is there when a decision is made; what was not is named in the conditions."""
    return (
        ""
        if value == status.stable_revision
        else f"{value} is not the revision that serves ({status.stable_revision})."
    )


def _under_way(status: ModelDeploymentStatus) -> str:
    return f"{status.canary_revision} is" if status.canary_revision else "nothing is"


def _cannot_abort(value: str, status: ModelDeploymentStatus) -> str:
    phase = phase_of(status)
    if value == status.canary_revision and phase in WITH_CANARY:
        return ""
    if value == status.stable_revision and phase is Phase.WATCHING:
        return ""
    return f"{value} is not on its way ({_under_way(status)})."


def _cannot_return(value: str, status: ModelDeploymentStatus, revisions: Mapping[str, Revision]) -> str:
    """The revision may be followed by a slash and anything new, to go back to it once more."""
    value = value.partition("/")[0]
    if value not in revisions:
        kept = ", ".join(sorted(name for name in revisions if name != status.stable_revision)) or "none"
        return f"{value} is not a kept revision (kept: {kept})."
    if any(entry.revision == value for entry in status.rejected_revisions):
        return f"{value} was rejected; modelward.dev/retry tries it again."
    if value == status.stable_revision and not status.canary_revision:
        return f"{value} serves already."
    if value == status.canary_revision:
        return f"{value} is on its way already."
    return ""


def _cannot_promote(value: str, status: ModelDeploymentStatus) -> str:
    phase = phase_of(status)
    if value == status.canary_revision and phase in WITH_CANARY and phase is not Phase.PROMOTING:
        return ""
    if value == status.canary_revision:
        return f"{value} is {'being promoted' if phase is Phase.PROMOTING else 'being rolled back'} already."
    return f"{value} is not on its way ({_under_way(status)})."


def _approved_step(value: str, status: ModelDeploymentStatus) -> int | None:
    """The step of the canary; None if the revision has not started: what was acknowledged lets it start."""
    revision, _, step = value.partition("/")
    return _number(step) if revision == status.canary_revision else None


def _number(step: str) -> int | None:
    """The number of a step, the whole of it, in plain digits; None for anything else."""
    return int(step) if step.isdecimal() and step.isascii() else None


def _cannot_approve(value: str, model: Model, status: ModelDeploymentStatus) -> str:
    revision, _, step = value.partition("/")
    if step == "0" and not status.canary_revision and revision == _awaited(model, status):
        return ""
    if revision != status.canary_revision or phase_of(status) not in WITH_CANARY or not status.rollout:
        return f"{revision} is not on its way ({_under_way(status)})."
    if phase_of(status) is Phase.PROMOTING:
        return f"{revision} is being promoted already."
    steps = model.spec.rollout.planned_steps
    last, number = len(steps) - 1, _number(step)
    if number is None or number > last:
        return f"{value} names no step (<revision>/<step>, steps are numbered from 0 to {last})."
    if steps.weight_of(number) <= status.rollout.weight_percent:
        return f"step {step} has begun already."
    return ""


def _awaited(model: Model, status: ModelDeploymentStatus) -> str:
    """The revision that spec asks for and that has not started; empty if there is none."""
    wanted = revision_hash(model.fields, status.revision_nonce)
    return "" if wanted == status.stable_revision else wanted


def _cannot_retry(value: str, status: ModelDeploymentStatus) -> str:
    if _rejected_content(status, value.partition("/")[0]):
        return ""
    known = ", ".join(entry.revision for entry in status.rejected_revisions) or "none"
    return f"{value} names no rejected revision (<revision>/<anything new>; rejected: {known})."


def _cannot_start_anew(_: str, model: Model, status: ModelDeploymentStatus, *, retries: bool) -> str:
    content = revision_hash(model.fields)
    refused = next((entry for entry in status.rejected_revisions if entry.content == content), None)
    if refused is None or retries:
        return ""
    return f"what spec asks for was rejected; modelward.dev/retry={refused.revision}/1 tries it again."


def _rejected_content(status: ModelDeploymentStatus, revision: str) -> str:
    return next((entry.content for entry in status.rejected_revisions if entry.revision == revision), "")
