"""Any world that a decision may have to be made in, and the objects that follow from it."""

from dataclasses import replace
from typing import Any, Final

import msgspec

from fuzz.manifests import problems, template_problems
from fuzz.source import Source
from fuzz.worlds import world
from modelward.api import names
from modelward.api.decode import encode
from modelward.api.rollout_policy import OnInconclusive
from modelward.api.status import ModelDeploymentStatus
from modelward.api.status_size import LIMIT_BYTES, size_bytes, within_limit
from modelward.cache import convert
from modelward.projection.project import Projection, project, snapshots
from modelward.rollout import conditions, traffic
from modelward.rollout.capacity import shared_replicas, sizes, whole
from modelward.rollout.decide import decide
from modelward.rollout.decision import Decision
from modelward.rollout.observed import Observed
from modelward.rollout.phases import WITH_CANARY, Phase

_STARTS_ANEW: Final = {"retry", "restart", "refresh", "rollback"}


def decided(data: bytes) -> None:
    """A status that fits the schema, 32 KiB and the rules; deciding again decides nothing and shows nothing."""
    observed = world(Source(data))
    decision = decide(observed)
    made = within_limit(conditions.complete(observed, decision))
    assert size_bytes(made) <= LIMIT_BYTES, size_bytes(made)
    assert convert.model(_raw(made)).status == made, "it is not what is read back"
    assert made.decision >= observed.model.status.decision
    assert decision.wake_after is None or decision.wake_after > 0
    check_traffic(observed, made)
    check_unknown_is_no_success(observed, made)
    check_rejections(observed, made)
    again = decide(_recorded(observed, decision))
    assert _decided(again.status) == _decided(decision.status)
    assert again.announcements == ()
    assert decide(_recorded(observed, again)).status == again.status, "it does not come to rest"


def projected(data: bytes) -> None:
    """Objects that Kubernetes takes, that are the model's own, each once; what serves is among them; the same each time."""
    observed = world(Source(data))
    decision = decide(observed)
    model, made = observed.model, decision.status
    found = _projection(observed, decision)
    for intent in found.intents:
        assert not (wrong := list(problems(intent.manifest, model))), (intent.kind, wrong)
        assert intent.scale is None or intent.scale >= 0
    places = [(intent.kind, intent.name) for intent in found.intents if intent.kind != "ControllerRevision"]
    assert len(set(places)) == len(places), places
    for manifest in snapshots(model, made, decision.revisions, ()):
        assert not (wrong := list(problems(manifest, model))), wrong
        assert not (wrong := list(template_problems(manifest["data"]["template"]))), wrong
    if made.stable_revision:
        kept = {*places, *found.kept}
        assert ("Deployment", names.child_name(model.name, made.stable_revision)) in kept
        assert ("Service", names.service_name(model.name)) in kept
    backends = {each["name"] for intent in found.intents for each in _backends(intent.manifest)}
    assert backends <= {name for kind, name in places if kind == "Service"}
    assert found == _projection(observed, decision)
    check_sizes(observed, made)


def check_traffic(observed: Observed, made: ModelDeploymentStatus) -> None:
    """S1, S2: a share is one of a canary there is, from 0 to 100, and only a canary has a canary's phase."""
    split = traffic.split(made)
    assert 0 <= split.weight_percent <= 100
    assert bool(made.canary_revision) or split.weight_percent == 0
    assert not made.canary_revision or made.stable_revision not in {"", made.canary_revision}
    if made.rollout and made.rollout.state in WITH_CANARY:
        assert made.canary_revision
    canary, stable = (observed.deployment(each) for each in (made.canary_revision, made.stable_revision))
    if made.canary_revision in {"", observed.model.status.canary_revision}:
        return
    if whole(observed, made) and stable and stable.ready and not (canary and canary.ready):
        assert split.weight_percent == 0, "a new canary has traffic before it has a pod"


def check_unknown_is_no_success(observed: Observed, made: ModelDeploymentStatus) -> None:
    """S9: without a sample and without a person's word no step of a canary is passed."""
    before, policy = observed.model.status, observed.model.spec
    wished = "promote" in observed.model.commands or policy.rollout.on_inconclusive is OnInconclusive.PROMOTE
    same = before.canary_revision and before.canary_revision == made.canary_revision
    if wished or not same or observed.evidence.samples or not (before.rollout and made.rollout):
        return
    if before.rollout.state in {Phase.METRICS_UNAVAILABLE, Phase.INCONCLUSIVE} or observed.evidence.problem:
        assert made.rollout.step <= before.rollout.step, (before.rollout, made.rollout)


def check_rejections(observed: Observed, made: ModelDeploymentStatus) -> None:
    """S4: what was rejected does not set out again by itself."""
    before = observed.model.status
    if made.canary_revision in {"", before.canary_revision} or _STARTS_ANEW & observed.model.commands.keys():
        return
    if not before.stable_revision or before.commands.rollback:
        return
    assert made.canary_revision not in {each.revision for each in before.rejected_revisions}


def check_sizes(observed: Observed, made: ModelDeploymentStatus) -> None:
    """No size is negative, bounds are in order, and revisions that share have no more than there is."""
    found = sizes(observed, made)
    for size in found.values():
        assert size.first >= 0
        assert size.scale is None or size.scale >= 0
        assert size.scale is not None or 0 <= size.least <= size.most
    if made.canary_revision and (total := shared_replicas(observed, made)):
        assert sum(size.first for size in found.values()) == total


def _projection(observed: Observed, decision: Decision) -> Projection:
    return project(
        observed.model,
        decision.status,
        decision.revisions,
        sizes=sizes(observed, decision.status),
        split=traffic.split(decision.status),
    )


def _backends(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    rules = manifest["spec"]["rules"] if manifest["kind"] == "HTTPRoute" else []
    return [ref for rule in rules for ref in rule["backendRefs"]]


def _decided(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """Without what the judge says: of a phase that this check has come to, it says it at the next one."""
    return msgspec.structs.replace(status, analysis=None)


def _recorded(observed: Observed, decision: Decision) -> Observed:
    model = replace(observed.model, status=decision.status)
    return replace(observed, model=model, revisions=decision.revisions)


def _raw(made: ModelDeploymentStatus) -> dict[str, Any]:
    """The object with this status, as the API server has it."""
    metadata = {"namespace": "shop", "name": "fraud", "uid": "u", "resourceVersion": "1"}
    return {
        "metadata": metadata,
        "spec": {},
        "status": msgspec.json.decode(msgspec.json.encode(encode(made))),
    }
