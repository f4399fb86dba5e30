"""What happened to one model, change by change, and who did it: the recorder's account beside the proxy's."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from faults.plan import Answer, Request
from faults.recorder import KINDS, At, Raw, Seen

GROUP: Final = "modelward.dev"
MODEL_LABEL: Final = f"{GROUP}/model"
REVISION_LABEL: Final = f"{GROUP}/revision"
DECISION: Final = f"{GROUP}/decision"
MANAGER: Final = "modelward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step from a state to the next: one object changed."""

    version: int
    time: float
    at: At
    before: Raw | None
    after: Raw | None
    by_operator: bool

    @property
    def object(self) -> Raw:
        """As it is now, or as it was last."""
        found = self.after if self.after is not None else self.before
        assert found is not None
        return found

    def __str__(self) -> str:
        what = "deleted" if self.after is None else "made" if self.before is None else "changed"
        return f"{'/'.join(self.at)} {what}{' by the operator' if self.by_operator else ''}"


@dataclass(slots=True)
class World:
    """All objects of a model's namespace at one moment. The model's own name shows which are concerned."""

    model: str
    objects: dict[At, Raw] = field(default_factory=dict)
    ready_at: dict[str, float] = field(default_factory=dict)
    """When each revision had a ready pod last."""

    def apply(self, change: Change) -> None:
        """Take a change in."""
        for revision in self.ready():
            self.ready_at[revision] = change.time
        if change.after is None:
            self.objects.pop(change.at, None)
        else:
            self.objects[change.at] = change.after
        for revision in self.ready():
            self.ready_at[revision] = change.time

    @property
    def cr(self) -> Raw:
        """The ModelDeployment; an empty one if it is gone."""
        return self.objects.get(("ModelDeployment", self.model)) or {"metadata": {}, "spec": {}}

    @property
    def status(self) -> Raw:
        """Its status."""
        found: Raw = self.cr.get("status") or {}
        return found

    def find(self, kind: str) -> Iterator[Raw]:
        """The objects of a kind."""
        return (raw for (each, _), raw in self.objects.items() if each == kind)

    def ready(self) -> set[str]:
        """Revisions with a ready pod."""
        return {revision_of(pod) for pod in self.find("Pod") if is_ready(pod)}

    def serving(self) -> int:
        """How many ready pods the entry Service sends requests to."""
        service = self.objects.get(("Service", self.model))
        selector = (service["spec"].get("selector") or {}) if service else {}
        return sum(
            is_ready(pod) and selector.items() <= pod["metadata"]["labels"].items()
            for pod in self.find("Pod")
            if selector
        )


def replay(
    model: str, seen: Iterable[Seen], stored: Iterable[tuple[Request, Answer]]
) -> Iterator[tuple[World, Change]]:
    """Each change with the world *before* it; the world is one object that moves on."""
    answers = list(stored)
    written, deleted = set(versions_written(answers)), set(_deleted(answers))
    world = World(model)
    for each in seen:
        if not concerns(model, each.raw):
            continue
        change = Change(
            version=each.version,
            time=each.time,
            at=each.at,
            before=world.objects.get(each.at),
            after=None if each.gone else each.raw,
            by_operator=(_plural(each.kind), each.at[1]) in deleted if each.gone else each.version in written,
        )
        yield world, change
        world.apply(change)


def versions_written(stored: Iterable[tuple[Request, Answer]]) -> Iterator[int]:
    """The resourceVersions that the answers to the operator's requests show."""
    for _, answer in stored:
        metadata = answered(answer).get("metadata") or {}
        if answer.status < 300 and metadata.get("resourceVersion"):
            yield int(metadata["resourceVersion"])


def _deleted(stored: Iterable[tuple[Request, Answer]]) -> Iterator[tuple[str, str]]:
    """Resource and name of what the operator has deleted."""
    for request, answer in stored:
        if request.method == "DELETE" and answer.status < 300:
            yield request.place.resource, request.place.name


def _plural(kind: str) -> str:
    return KINDS[kind].rpartition("/")[2]


def answered(answer: Answer) -> dict[str, Any]:
    """The object in an answer; empty if there is none."""
    try:
        found: dict[str, Any] = msgspec.json.decode(answer.body, type=dict)
    except msgspec.DecodeError:
        return {}
    return found


def concerns(model: str, raw: Raw) -> bool:
    """Whether an object is the model, one of its children, or an Event about one of these."""
    metadata = raw["metadata"]
    regarding = raw.get("regarding") or {}
    labels = metadata.get("labels") or {}
    return model in (metadata["name"], labels.get(MODEL_LABEL), regarding.get("name"))


def revision_of(raw: Raw) -> str:
    """The revision that an object belongs to."""
    return str((raw["metadata"].get("labels") or {}).get(REVISION_LABEL, ""))


def decision_of(raw: Raw) -> int:
    """The number of the decision for which an object was written, or that a model's status has come to."""
    if raw["kind"] == "ModelDeployment":
        return int((raw.get("status") or {}).get("decision", 0))
    return int((raw["metadata"].get("annotations") or {}).get(DECISION, 0))


def is_ready(pod: Raw) -> bool:
    """Whether a pod gets requests: ready and not on its way out."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
