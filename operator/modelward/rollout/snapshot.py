"""Taking the snapshot of a new revision: choose the runtime, render the pod template, pin both."""

from collections.abc import Mapping
from typing import Final

from modelward.api.conditions import Blocked, Reason
from modelward.api.revision import Revision
from modelward.api.status import FetchedModel, ModelDeploymentStatus
from modelward.errors import InvalidSpec
from modelward.rollout.commands import keeps_pinned_runtime
from modelward.rollout.observed import Observed
from modelward.runtimes.choose import Choice, choose, pinned
from modelward.runtimes.fetching import fetches
from modelward.runtimes.render import Subject, render_template

_NO_FETCH_IMAGE: Final = (
    "spec.model.uri: the operator's settings name no image that fetches models. Set fetch.image (in the chart:"
    " settings.fetch.image), or put the model into the image and leave uri out."
)


def take_snapshot(
    observed: Observed, known: Mapping[str, Revision], status: ModelDeploymentStatus, name: str
) -> Revision | Blocked:
    """The snapshot of the revision `name` that spec asks for: the kept one if there is one, else a new one."""
    if name in known:
        return known[name]
    model = observed.model
    if fetches(model.spec) and not observed.fetch.image:
        return Blocked(reason=Reason.FETCH_NOT_CONFIGURED, message=_NO_FETCH_IMAGE)
    choice = _runtime(observed, known, status)
    if isinstance(choice, Blocked):
        return choice
    subject = Subject(model=model.name, revision=name, spec=model.spec)
    return Revision(
        name=name,
        number=max((each.number for each in known.values()), default=0) + 1,
        content=observed.asked.content,
        nonce=status.revision_nonce,
        spec=model.fields,
        runtime=choice.pinned,
        template=render_template(subject, choice.spec, observed.fetch),
        cause=model.changed_by,
        fetched=_restarted(observed, known, status),
    )


def _runtime(
    observed: Observed, known: Mapping[str, Revision], status: ModelDeploymentStatus
) -> Choice | Blocked:
    """The runtime as it is now; for a restart the one that stable has pinned: it promises the same pods again."""
    stable = _same_again(observed, known, status)
    if stable and stable.runtime:
        try:
            return pinned(stable.runtime)
        except InvalidSpec as error:
            return Blocked(reason=Reason.NO_RUNTIME, message=f"the pinned runtime cannot be used: {error}")
    return choose(observed.model.spec, observed.runtimes)


def _restarted(
    observed: Observed, known: Mapping[str, Revision], status: ModelDeploymentStatus
) -> FetchedModel | None:
    """The model of stable, where the same is started again: what its name means by now is for a refresh to send out."""
    stable = _same_again(observed, known, status)
    if stable is None:
        return None
    return next((each for each in status.fetched if each.revision == stable.name), stable.fetched)


def _same_again(
    observed: Observed, known: Mapping[str, Revision], status: ModelDeploymentStatus
) -> Revision | None:
    """The stable revision, if a plain restart of it is asked for."""
    stable = known.get(status.stable_revision)
    same_words = stable is not None and stable.content == observed.asked.content
    return stable if same_words and keeps_pinned_runtime(observed.model) else None
