"""Which runtime is chosen."""

from typing import Any

import pytest

from builders import make_model, make_runtime
from modelward.api.conditions import Blocked, Reason
from modelward.runtimes.choose import Choice, Runtime, choose

BY_FORMAT: dict[str, Any] = {"model": {"format": "onnx"}, "runtime": None}


def runtime(
    name: str, *, kind: str = "ClusterModelRuntime", priority: int = 0, version: str = "", fmt: str = "onnx"
) -> Runtime:
    """A runtime that reads one format."""
    made = make_runtime(name, kind)
    formats = [{"name": fmt, "version": version, "priority": priority}]
    return Runtime(kind=kind, name=name, spec={**made.spec, "formats": formats})


def chosen(runtimes: list[Runtime], **spec: Any) -> str:
    """Kind and name of the runtime, or the reason why there is none."""
    choice = choose(make_model("1", **spec).spec, runtimes)
    if isinstance(choice, Blocked):
        return choice.reason.value
    return f"{choice.pinned.get('kind', 'own')}/{choice.pinned.get('name', 'image')}"


@pytest.mark.parametrize(
    ("runtimes", "spec", "expected"),
    [
        pytest.param([], {"runtime": {"image": "own:1"}}, "own/image", id="an image needs no runtime"),
        pytest.param([runtime("a")], {"runtime": {"name": "a"}}, "ClusterModelRuntime/a", id="by name"),
        pytest.param(
            [runtime("a"), runtime("a", kind="ModelRuntime")],
            {"runtime": {"name": "a"}},
            "ModelRuntime/a",
            id="by name the namespace wins",
        ),
        pytest.param([runtime("a")], {"runtime": {"name": "b"}}, "NoRuntime", id="a name that is not there"),
        pytest.param(
            [runtime("b"), runtime("a")], BY_FORMAT, "ClusterModelRuntime/a", id="by format and name"
        ),
        pytest.param(
            [runtime("a"), runtime("b", priority=5)],
            BY_FORMAT,
            "ClusterModelRuntime/b",
            id="priority goes before name",
        ),
        pytest.param(
            [runtime("a", priority=5), runtime("b", kind="ModelRuntime")],
            BY_FORMAT,
            "ModelRuntime/b",
            id="the namespace goes before priority",
        ),
        pytest.param([runtime("a", fmt="sklearn")], BY_FORMAT, "NoRuntime", id="none reads the format"),
        pytest.param(
            [runtime("a", version="2"), runtime("b", version="1")],
            {"model": {"format": "onnx", "formatVersion": "1"}, "runtime": None},
            "ClusterModelRuntime/b",
            id="the version of the format must fit",
        ),
        pytest.param(
            [runtime("a", version="2")], BY_FORMAT, "ClusterModelRuntime/a", id="no version means any"
        ),
        pytest.param([], {"model": None, "runtime": None}, "InvalidSpec", id="nothing says what serves"),
    ],
)
def test_choose(runtimes: list[Runtime], spec: dict[str, Any], expected: str) -> None:
    """Namespace, priority, name: in this order."""
    assert chosen(runtimes, **spec) == expected


def test_a_broken_runtime_serves_nobody_and_is_reported_to_who_names_it() -> None:
    """One bad object must not take the others down."""
    broken = Runtime(kind="ModelRuntime", name="broken", spec={"container": {}})
    assert chosen([broken, runtime("a")], **BY_FORMAT) == "ClusterModelRuntime/a"
    named = choose(make_model("1", runtime={"name": "broken"}).spec, [broken])
    assert isinstance(named, Blocked)
    assert named.reason is Reason.NO_RUNTIME
    assert "spec.container.image" in named.message


def test_the_raw_spec_is_pinned() -> None:
    """What a later operator reads out of it must be what was there."""
    raw = runtime("a")
    choice = choose(make_model("1", runtime={"name": "a"}).spec, [raw])
    assert isinstance(choice, Choice)
    assert choice.pinned == {"kind": raw.kind, "name": "a", "spec": raw.spec}
