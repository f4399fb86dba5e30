"""Names: valid wherever they go, and never the same for two models."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modelward.api import names

LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
REVISION = "bcdfghjklm"

part = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
model_names = st.lists(part, min_size=1, max_size=5).map(".".join).filter(lambda name: len(name) <= 253)


@given(model_names)
def test_names_are_valid_where_they_are_used(model: str) -> None:
    """A Service has an RFC 1035 label; a Deployment leaves room for its ReplicaSet; a label has 63 characters."""
    for service in (
        names.service_name(model),
        names.canary_service_name(model),
        names.revision_service_name(model, REVISION),
    ):
        assert LABEL.fullmatch(service)
    child = names.child_name(model, REVISION)
    assert SUBDOMAIN.fullmatch(child)
    assert len(child) <= 253 - 11
    assert len(names.model_label(model)) <= 63
    assert re.fullmatch("[a-z0-9]([-.a-z0-9]*[a-z0-9])?", names.model_label(model))


@given(model_names, model_names)
def test_two_models_never_collide(one: str, other: str) -> None:
    """Not even long ones that begin alike, or ones that differ in a dot."""
    assume(one != other)
    assert names.service_name(one) != names.service_name(other)
    assert names.canary_service_name(one) != names.canary_service_name(other)
    assert names.revision_service_name(one, REVISION) != names.revision_service_name(other, REVISION)
    assert names.child_name(one, REVISION) != names.child_name(other, REVISION)
    assert names.model_label(one) != names.model_label(other)


@pytest.mark.parametrize(
    ("model", "service"),
    [
        pytest.param("fraud", "fraud", id="a plain name stays"),
        pytest.param("a" * 63, "a" * 63, id="up to the limit"),
        pytest.param("a" * 64, "a" * 52 + "-ffe054fe7a", id="a long one is cut and hashed"),
        pytest.param("fraud.v1", "fraud-v1-fa5a6ec3d5", id="a dot is no label"),
        pytest.param("7-days", "m-7-days-01edc15991", id="a digit at the front is none either"),
    ],
)
def test_service_names_stay_for_ever(model: str, service: str) -> None:
    """Clients use them; another name would break every one."""
    assert names.service_name(model) == service


def test_names_that_differ_only_beyond_the_limit_differ() -> None:
    """The hash is of the whole name."""
    one, other = "a" * 252 + "x", "a" * 252 + "y"
    assert names.child_name(one, REVISION) != names.child_name(other, REVISION)


def test_the_selector_finds_the_labels() -> None:
    """What is listed by label is what was labelled."""
    labels = names.revision_labels("fraud", REVISION)
    assert names.revision_selector("fraud", REVISION).items() <= labels.items()
    assert names.model_selector("fraud") == f"{names.MODEL_LABEL}={labels[names.MODEL_LABEL]}"
