"""What the resource can say and this version does not carry out: told, never silently ignored."""

from modelward.api.analysis_policy import AnalysisPolicy
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.rollout_policy import Strategy


def how_it_goes_out(spec: ModelDeploymentSpec) -> str:
    """A sentence for the start of a rollout whose strategy is not there yet; empty for `Direct`."""
    strategy = spec.rollout.strategy
    if strategy is Strategy.DIRECT:
        return ""
    return f" Strategy {strategy.value} is not in this version: the change goes out as Direct."


def without_effect(spec: ModelDeploymentSpec) -> str:
    """A sentence that names the fields which have no effect in this version; empty when there are none."""
    given = {
        "spec.traffic": spec.traffic is not None,
        "spec.analysis": spec.analysis != AnalysisPolicy(),
        "spec.rollout.paused": spec.rollout.paused,
    }
    fields = [name for name, is_given in given.items() if is_given]
    return f" Without effect in this version: {', '.join(fields)}." if fields else ""
