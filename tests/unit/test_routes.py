"""A user's own route: what is asked before the canary is given requests."""

from typing import Any, cast

import pytest

from builders import make_model
from modelward.clients.kube import Kube
from modelward.errors import Conflict
from modelward.routes import UserRoutes
from modelward.store import Store


class OneModel:
    """An API server that has one ModelDeployment."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw

    async def get(self, *_: Any) -> dict[str, Any]:
        """It."""
        return self.raw


@pytest.mark.parametrize(
    ("metadata", "decision"),
    [
        pytest.param({"deletionTimestamp": "2026-01-01T00:00:00Z"}, 4, id="it is being deleted"),
        pytest.param({}, 5, id="a later decision"),
        pytest.param({"uid": "another"}, 4, id="another model of that name"),
    ],
)
async def test_no_weight_is_given_for_a_decision_that_is_not_the_latest(
    metadata: dict[str, Any], decision: int
) -> None:
    """A deletion may have overtaken the finalizer: nobody would put the weights back."""
    model = make_model()
    raw = {"metadata": {"uid": model.uid, **metadata}, "status": {"decision": decision}}
    routes = UserRoutes(cast("Kube", OneModel(raw)), Store())
    with pytest.raises(Conflict):
        await routes._confirm(model, 4)


async def test_the_latest_decision_is_acted_upon() -> None:
    """No error."""
    model = make_model()
    raw = {"metadata": {"uid": model.uid}, "status": {"decision": 4}}
    await UserRoutes(cast("Kube", OneModel(raw)), Store())._confirm(model, 4)
