"""The two doors agree: what the API server's schema takes is decoded, what it refuses for a bound is not."""

from typing import Any

import pytest

from cluster.crd_bounds import BoundCase, bound_cases
from cluster.crd_rules import RULE_CASES, RuleCase
from modelward.api.decode import decode_runtime, decode_spec, decode_status
from modelward.errors import InvalidSpec

CASES = bound_cases()
DECODERS = {"ModelDeployment": decode_spec, "ModelRuntime": decode_runtime}


def cases_of(part: str) -> list[Any]:
    """Return the bounds of spec or of status; of a duplicated map key only the API server knows."""
    return [pytest.param(case, id=case.sentence) for case in CASES if f".{part}" in case.path]


@pytest.mark.parametrize("case", cases_of("spec"))
def test_a_spec_beyond_a_bound_is_invalid(case: BoundCase) -> None:
    """An operator whose CRD is older than itself still holds its bounds."""
    with pytest.raises(InvalidSpec):
        DECODERS[case.path.partition(".")[0]](case.beyond["spec"])


@pytest.mark.parametrize("case", cases_of("status"))
def test_a_status_beyond_a_bound_is_dropped_in_part(case: BoundCase) -> None:
    """What the API server would refuse to take back is not kept; what is at the bound is."""
    assert decode_status(case.beyond["status"]).dropped
    if case.within is not None:
        assert decode_status(case.within["status"]).dropped == ()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.sentence) for case in RULE_CASES])
def test_what_rules_accept_is_decoded(case: RuleCase) -> None:
    """No object that the API server takes is an InvalidSpec to the operator."""
    DECODERS[case.kind](case.accepted)
