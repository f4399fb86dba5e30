"""What makes two revisions the same, and the names that may never change."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward.api.revision import ALPHABET, HASH_LENGTH, revision_fields, revision_hash

VECTORS: list[tuple[dict[str, Any], int, str]] = [
    ({}, 0, "6ht57snd76"),
    ({"model": {"format": "onnx"}}, 0, "xnj5k6mgjd"),
    ({"model": {"format": "onnx"}}, 1, "9667tzq7qr"),
    (
        {
            "model": {"uri": "s3://models/fraud/7", "format": "onnx", "name": "fräud"},
            "runtime": {"args": ["--b", "--a"], "env": [{"name": "A", "value": ""}]},
            "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"nvidia.com/gpu": 1}},
            "podLabels": {"team": "risk"},
            "replicas": 7,
        },
        42,
        "ttfhzpcfzc",
    ),
    (  # test_f07: selectors of before there were sums
        {
            "model": {"format": "onnx"},
            "runtime": {
                "signals": {
                    "errors": {"hits": 'requests_total{code=~"5.."}', "total": "requests_total"},
                }
            },
        },
        0,
        "79hxszq7hq",
    ),
]
"""Spec, nonce and name. These may NEVER change: another name is another revision, so an upgrade of the operator
that changed one would roll out every model of every user anew."""


@pytest.mark.parametrize(("spec", "nonce", "name"), VECTORS)
def test_names_stay_for_ever(spec: dict[str, Any], nonce: int, name: str) -> None:
    """The pinned vectors: do not repair this test, repair what broke it."""
    assert revision_hash(revision_fields(spec), nonce) == name


BASE: dict[str, Any] = {"model": {"format": "onnx"}, "runtime": {"args": ["a", "b"]}}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({**BASE, "resources": None}, id="a null is no field"),
        pytest.param({**BASE, "podLabels": {}}, id="an empty object is no field"),
        pytest.param({**BASE, "imagePullSecrets": []}, id="an empty list is no field"),
        pytest.param(
            {**BASE, "scheduling": {"nodeSelector": {}, "tolerations": None}}, id="nor is one of such"
        ),
        pytest.param({**BASE, "replicas": 9}, id="replicas are no part of it"),
        pytest.param({**BASE, "rollout": {"paused": True}}, id="nor is the rollout policy"),
        pytest.param({**BASE, "autoscaling": {"maxReplicas": 3}}, id="nor is autoscaling"),
        pytest.param(dict(reversed(BASE.items())), id="the order of keys does not count"),
    ],
)
def test_the_same_revision(other: dict[str, Any]) -> None:
    """What does not change a pod must not restart one."""
    assert revision_hash(revision_fields(other)) == revision_hash(revision_fields(BASE))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            {"resources": {"limits": {"cpu": "1"}}},
            {"resources": {"limits": {"cpu": "1000m"}}},
            id="quantities count as written",
        ),
        pytest.param(
            {"resources": {"limits": {"cpu": "1"}}}, {"resources": {"limits": {"cpu": 1}}}, id="so do types"
        ),
        pytest.param(
            {"runtime": {"args": ["a", "b"]}}, {"runtime": {"args": ["b", "a"]}}, id="order of a list counts"
        ),
        pytest.param(
            {"runtime": {"env": [{"name": "A"}]}},
            {"runtime": {"env": [{"name": "A", "value": ""}]}},
            id="an empty string is a value",
        ),
        pytest.param({}, {"runtime": {"startupSeconds": 0}}, id="zero is a value"),
    ],
)
def test_another_revision(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The user's words are the identity, as they are written."""
    assert revision_hash(revision_fields(one)) != revision_hash(revision_fields(other))


def test_a_nonce_makes_another_revision_and_zero_none() -> None:
    """Restarts change the name; a model that was never restarted has no trace of a nonce."""
    fields = revision_fields(BASE)
    assert revision_hash(fields, 0) == revision_hash(fields)
    assert len({revision_hash(fields, nonce) for nonce in range(50)}) == 50


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["model", "runtime", "podLabels", "replicas"]), json_values))
def test_any_spec_has_a_name_of_the_safe_alphabet(spec: dict[str, Any]) -> None:
    """Whatever is in spec, the name fits a label, a Deployment's name and no word."""
    name = revision_hash(revision_fields(spec))
    assert len(name) == HASH_LENGTH
    assert set(name) <= set(ALPHABET)


@given(st.dictionaries(st.sampled_from(["model", "runtime"]), json_values))
def test_pruning_is_idempotent(spec: dict[str, Any]) -> None:
    """Fields that were pruned once are what is kept of them."""
    fields = revision_fields(spec)
    assert revision_fields(fields) == fields
