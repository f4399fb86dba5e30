"""Taking the snapshot of a new revision: choose the runtime, render the pod template, pin both."""

from collections.abc import Mapping

from modelward.api.conditions import Blocked, Reason
from modelward.api.revision import Revision
from modelward.api.status import ModelDeploymentStatus
from modelward.errors import InvalidSpec
from modelward.rollout.commands import keeps_pinned_runtime
from modelward.rollout.observed import Observed
from modelward.rollout.revisions import revision_hash
from modelward.runtimes.choose import Choice, choose, pinned
from modelward.runtimes.render import Subject, render_template


def take_snapshot(
    observed: Observed, known: Mapping[str, Revision], status: ModelDeploymentStatus, name: str
) -> Revision | Blocked:
    """The snapshot of the revision `name` that spec asks for: the kept one if there is one, else a new one."""
    if name in known:
        return known[name]
    model = observed.model
    if model.spec.model and model.spec.model.uri:
        return Blocked(
            reason=Reason.INVALID_SPEC,
            message="spec.model.uri: this version does not fetch models from storage yet; put the model into"
            " the image and leave uri out.",
        )
    choice = _runtime(observed, known, status)
    if isinstance(choice, Blocked):
        return choice
    template = render_template(Subject(model=model.name, revision=name, spec=model.spec), choice.spec)
    return Revision(
        name=name,
        number=max((each.number for each in known.values()), default=0) + 1,
        content=revision_hash(model.fields),
        nonce=status.revision_nonce,
        spec=model.fields,
        runtime=choice.pinned,
        template=template,
        cause=model.changed_by,
    )


def _runtime(
    observed: Observed, known: Mapping[str, Revision], status: ModelDeploymentStatus
) -> Choice | Blocked:
    """The runtime as it is now; for a restart the one that stable has pinned: it promises the same pods again."""
    stable = known.get(status.stable_revision)
    same_words = stable is not None and stable.content == revision_hash(observed.model.fields)
    if stable and same_words and stable.runtime and keeps_pinned_runtime(observed.model):
        try:
            return pinned(stable.runtime)
        except InvalidSpec as error:
            return Blocked(reason=Reason.NO_RUNTIME, message=f"the pinned runtime cannot be used: {error}")
    return choose(observed.model.spec, observed.runtimes)
