"""`modelward rehearse`: manifests in, stories out, and an exit code that a pipeline can use."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner, Result

from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.rollout_policy import RolloutPolicy
from modelward.api.scaling_policy import Autoscaling
from modelward.api.traffic_policy import Traffic
from modelward.errors import InvalidSpec
from modelward_cli import main
from modelward_cli.rehearse import rules
from modelward_cli.rehearse.scenarios import SCENARIOS

ROOT: Final = Path(__file__).parents[4]
DOCS: Final = (ROOT / "docs" / "rehearsal.md").read_text(encoding="utf-8")
MODEL: Final[dict[str, Any]] = {
    "apiVersion": "modelward.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "fraud", "namespace": "shop"},
    "spec": {
        "model": {"format": "onnx", "version": "7"},
        "replicas": 4,
        "traffic": {"gateway": {"parentRefs": [{"name": "public"}]}},
    },
}


def rehearse(*arguments: str, manifest: Any = MODEL) -> Result:
    """Run the command on a manifest that comes by standard input."""
    text = manifest if isinstance(manifest, str) else yaml.safe_dump(manifest)
    return CliRunner().invoke(main, ["rehearse", "-", *arguments], input=text)


def with_spec(**spec: Any) -> dict[str, Any]:
    """The model with other fields."""
    return {**MODEL, "spec": {**MODEL["spec"], **spec}}


@pytest.fixture(scope="module")
def reported() -> dict[str, Any]:
    """All scenarios as JSON; each comes to an end that is right."""
    result = rehearse("--scenario", "all", "--change", "model.version=8", "-o", "json")
    assert result.exit_code == 0, result.output
    decoded: dict[str, Any] = json.loads(result.output)
    return decoded


def test_every_scenario_is_played_to_an_end_that_is_right(reported: dict[str, Any]) -> None:
    """Whatever happens, nothing bad is promoted, and nothing good is rolled back."""
    ends = {each["scenario"]: each["end"] for each in reported["rehearsals"]}
    assert ends.keys() == SCENARIOS.keys()
    assert all(each["asExpected"] for each in reported["rehearsals"])
    assert ends["good"] == "Promoted"
    assert {ends[name] for name in ("bad", "slow", "crash", "out-of-memory", "bad-after-promotion")} == {
        "RolledBack"
    }


def test_json_has_the_fields_that_are_documented(reported: dict[str, Any]) -> None:
    """No more and no less than the table of docs/rehearsal.md."""
    table = DOCS.partition("| field |")[2].partition("\n## ")[0]
    for part in ("scenario", "events[]", "requests", "asExpected"):
        assert part in table
    assert set(reported) == {"version", "model", "assumptions", "rehearsals"}
    for each in reported["rehearsals"]:
        for key in each:
            assert f".{key}" in table, key
        for event in each["events"]:
            assert all(f"`{key}`" in table for key in event), event
            assert f"`{event['actor']}`" in table
            assert f"`{event['kind']}`" in table


def test_weights_rise_step_by_step_and_fall_at_once(reported: dict[str, Any]) -> None:
    """As `weightPercent` of the events shows."""
    weights = {
        each["scenario"]: [event["weightPercent"] for event in each["events"] if "weightPercent" in event]
        for each in reported["rehearsals"]
    }
    assert weights["good"] == [0, 5, 25, 50, 100]
    assert weights["bad"] == [0, 5, 0]


def test_documented_scenarios_are_those_that_there_are() -> None:
    """The table of docs/rehearsal.md, and `--list-scenarios`."""
    table = DOCS.partition("| scenario |")[2].partition("Without")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", table, re.MULTILINE)
    assert dict(rows) == {name: each.summary for name, each in SCENARIOS.items()}
    listed = CliRunner().invoke(main, ["rehearse", "--list-scenarios"])
    assert [line.split()[0] for line in listed.output.splitlines()] == list(SCENARIOS)


def test_documented_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of docs/rehearsal.md, with its manifest and the exit codes it says."""
    monkeypatch.chdir(tmp_path)
    manifest = DOCS.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "fraud.yaml").write_text(manifest, encoding="utf-8")
    commands = re.findall(r"^\$ modelward (.+)$", DOCS, re.MULTILINE)
    results = [CliRunner().invoke(main, command.split()) for command in commands]
    assert [result.exit_code for result in results] == [0, 1]
    promised = DOCS.partition("```text\n")[2].partition(" Rolled back")[0]
    assert promised in results[0].output


def test_a_change_may_be_another_file(tmp_path: Path) -> None:
    """`--to`; runtimes of both files count."""
    after = with_spec(model={"format": "onnx", "version": "9"})
    (tmp_path / "after.yaml").write_text(yaml.safe_dump(after), encoding="utf-8")
    result = rehearse("--to", str(tmp_path / "after.yaml"), "--scenario", "crash")
    assert "changes spec.model.version from 7 to 9" in result.output
    assert result.exit_code == 0


def test_what_is_not_in_the_file_is_assumed_and_said() -> None:
    """A runtime, a route, a Gateway, the change itself."""
    manifest = with_spec(traffic={"httpRouteRef": {"name": "shop-routes"}})
    result = rehearse("--scenario", "crash", manifest=manifest)
    for each in (
        "model.version becomes 7-next",
        "ClusterModelRuntime onnx",
        "HTTPRoute shop-routes",
        "Gateway",
    ):
        assert each in result.output
    assert result.exit_code == 0


def test_a_change_without_a_new_revision_is_no_rollout() -> None:
    """More pods are only more pods."""
    result = rehearse("--change", "replicas=6", "--scenario", "good")
    assert "= NoRollout" in result.output
    assert result.exit_code == 1, "a good version was to be promoted"


def test_a_strategy_that_lets_a_bad_version_through_is_reported() -> None:
    """Exit code 1, and what was expected."""
    result = rehearse(
        "--change", "rollout.strategy=Direct", "--change", "model.version=8", "--scenario", "bad"
    )
    assert result.exit_code == 1
    assert "EXPECTED: RolledBack" in result.output


def test_approvals_are_given_unless_asked_not_to() -> None:
    """After a minute, as the story shows."""
    manifest = with_spec(rollout={"steps": [{"weightPercent": 10, "approval": "Required"}]})
    approved = rehearse("--scenario", "good", manifest=manifest)
    assert "approves: modelward.dev/approve=" in approved.output
    assert approved.exit_code == 0
    waiting = rehearse("--scenario", "good", "--no-approve", manifest=manifest)
    assert "= Waiting" in waiting.output
    assert waiting.exit_code == 1


def test_what_can_be_known_of_an_address_is_reported() -> None:
    """Its form, and whether it can be had again; whether it is there is not asked."""
    result = rehearse(manifest=with_spec(model={"format": "onnx", "uri": "mlflow://models/fraud@champion"}))
    assert result.exit_code == 0
    assert "(its store is not asked): mlflow://models/fraud@champion names an alias" in result.output


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        pytest.param("a: [", "is no YAML", id="not YAML"),
        pytest.param("- a", "must be a Kubernetes object with a kind", id="not an object"),
        pytest.param("", "must have exactly one ModelDeployment, it has 0", id="empty"),
        pytest.param(
            with_spec(replicas="many"), "ModelDeployment fraud: spec.replicas: must be", id="a wrong type"
        ),
        pytest.param(
            with_spec(rollout={"stepMinSecond": 5}),
            "spec.rollout.stepMinSecond: must be left out: there is no such field",
            id="a field that is not there",
        ),
        pytest.param(
            with_spec(rollout={"steps": [{"weightPercent": 50}, {"weightPercent": 5}]}),
            "spec.rollout.steps: must rise",
            id="steps that fall",
        ),
        pytest.param(
            with_spec(traffic={"gateway": {"parentRefs": [{"name": "a"}]}, "httpRouteRef": {"name": "b"}}),
            "spec.traffic: must have exactly one of gateway and httpRouteRef",
            id="two ways",
        ),
        pytest.param(
            {**MODEL, "apiVersion": "v1"}, "apiVersion: must be modelward.dev/v1alpha1", id="version"
        ),
        pytest.param({**MODEL, "metadata": {}}, "metadata.name: must be given", id="no name"),
        pytest.param(
            with_spec(model={"format": "onnx", "uri": "hf://no-organisation"}),
            "spec.model.uri: the address is not hf://org/model",
            id="address of a model",
        ),
    ],
)
def test_what_an_api_server_would_refuse_is_refused(manifest: Any, message: str) -> None:
    """Exit code 2, with the field and what would be right, and no story."""
    result = rehearse(manifest=manifest)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param("replicas", "must be FIELD=VALUE", id="no value"),
        pytest.param("replicas=-1", "spec.replicas: must be", id="a bad value"),
        pytest.param("model.version=[", "is no YAML", id="no YAML"),
    ],
)
def test_a_change_that_cannot_be_is_refused(change: str, message: str) -> None:
    """As in the manifest."""
    result = rehearse("--change", change)
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_unknown_scenario_is_refused() -> None:
    """With those that there are."""
    result = rehearse("--scenario", "worst")
    assert result.exit_code == 2
    assert "worst is none of good, bad" in result.stderr


def test_every_rule_across_fields_has_a_twin() -> None:
    """Of the structs that are checked no rule is left out, and none is checked under another's message."""
    for struct, twins in (
        (ModelDeploymentSpec, rules.SPEC),
        (RolloutPolicy, rules.ROLLOUT),
        (Autoscaling, rules.SCALING),
        (Traffic, rules.TRAFFIC),
    ):
        assert tuple(rule for rule, _ in twins) == struct.RULES


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param({}, "spec", id="nothing that serves"),
        pytest.param({"rollout": {"capacity": "Shared"}}, "spec.rollout.capacity", id="one shared pod"),
        pytest.param({"analysis": {"intervalSeconds": 200}}, "spec.analysis.intervalSeconds", id="no poll"),
        pytest.param(
            {"runtime": {"image": "i", "startupSeconds": 9000}},
            "spec.rollout.progressDeadlineSeconds",
            id="a deadline before the start",
        ),
        pytest.param(
            {"rollout": {"strategy": "Direct", "steps": [{"weightPercent": 5}]}},
            "spec.rollout.steps",
            id="steps",
        ),
        pytest.param({"rollout": {"steps": []}}, "spec.rollout.steps", id="no step"),
        pytest.param({"rollout": {"stepMinSeconds": 700}}, "spec.rollout.stepMaxSeconds", id="min above max"),
        pytest.param(
            {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}, "spec.autoscaling.maxReplicas", id="bounds"
        ),
    ],
)
def test_a_rule_that_is_broken_names_its_field(spec: dict[str, Any], field: str) -> None:
    """The first one that is."""
    whole = {"runtime": {"image": "i"}, **spec} if spec else spec
    with pytest.raises(InvalidSpec) as broken:
        rules.check(whole)
    assert broken.value.path == field
