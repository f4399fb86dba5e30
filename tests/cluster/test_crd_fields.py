"""Every field of the CRDs with everything that somebody may put there: the API server and the operator agree on it.

What the API server takes the operator reads; what the operator could not read the API server refuses, and says where.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest

from cluster.apiserver import GROUP_PATH, ApiServer
from cluster.crd_fields import Trial, fields, nodes, trials
from devcluster import Cluster
from modelward.api.decode import decode_runtime, decode_spec
from modelward.errors import InvalidSpec
from unit.api.schema_walk import Node

FIELDS: Final = fields()
SCHEMAS: Final = {node.path: node.schema for node in nodes()}
WHOLE_FLOAT: Final = "got float64 evaluating rule"
"""The one exception: of a whole number written as 1.0, which it stores as 1, the API server says so where a rule
compares it with another, at the rule's place instead of the field's."""
DECODERS: Final = {"ModelDeployment": decode_spec, "ModelRuntime": decode_runtime}


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[ApiServer]:
    """A connection of our own, for thousands of small requests."""
    with ApiServer(cluster.kubeconfig) as connection:
        yield connection


EACH_FIELD: Final = pytest.mark.parametrize("node", [pytest.param(node, id=node.path) for node in FIELDS])
SHARE: Final = 3
"""Of so many values of a field `make test` tries one, at each field others; at night all are tried."""


@EACH_FIELD
def test_both_decoders_agree(server: ApiServer, namespace: str, node: Node) -> None:
    """For each value: taken and read, or refused with the field's name."""
    _agree(server, namespace, node, list(trials(node, SCHEMAS))[FIELDS.index(node) % SHARE :: SHARE])


@pytest.mark.integrations
@EACH_FIELD
def test_both_decoders_agree_on_all_values(server: ApiServer, namespace: str, node: Node) -> None:
    """The same for every value."""
    _agree(server, namespace, node, trials(node, SCHEMAS))


def _agree(server: ApiServer, namespace: str, node: Node, tried: Iterable[Trial]) -> None:
    problems = [
        f"{trial.words}: {problem}"
        for trial in tried
        if (problem := _disagreement(server, namespace, node, trial))
    ]
    assert not problems, "\n".join(problems)


def _disagreement(server: ApiServer, namespace: str, node: Node, trial: Trial) -> str:
    """In what the doors differ; empty if they agree."""
    kind = node.path.partition(".")[0]
    manifest = {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "case"},
        "spec": trial.spec,
    }
    path = f"{GROUP_PATH}/namespaces/{namespace}/{kind.lower()}s"
    answer = server.send("POST", path, manifest, dryRun="All")
    if answer.is_success:
        unread = _unread(kind, answer.json()["spec"])
        return f"the API server takes what the operator cannot read: {unread}" if unread else ""
    problem_text, unread = str(answer.json()["message"]), _unread(kind, trial.spec)
    if WHOLE_FLOAT in problem_text and isinstance(trial.value, float):
        return ""
    if unread and not _names(problem_text, unread):
        return f"{unread} is refused for something else: {problem_text[:300]}"
    return "" if "spec" in problem_text else f"refused without a field: {problem_text[:300]}"


def _unread(kind: str, spec: Any) -> InvalidSpec | None:
    """Why the operator cannot read it."""
    try:
        DECODERS[kind](spec)
    except InvalidSpec as error:
        return error
    return None


def _names(problem_text: str, error: InvalidSpec) -> bool:
    """Whether the API server's words name the field that the operator's do, or one above it."""
    steps = re.split(r"(?=[.\[])", error.path)
    paths = ["".join(steps[:length]) for length in range(len(steps), 1, -1)]
    return any(path in problem_text for path in paths)
