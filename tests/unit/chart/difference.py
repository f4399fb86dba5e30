"""What some values change in the rendered chart, as text.

Left out: the labels that every object of a release carries, and what a new object has from a file outside of the chart
(rules, policies): other tests compare these with their files, so that a changed rule is no changed snapshot.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from support.chart import LABELS, Manifest, title

_FROM_FILES: Final = {
    "CustomResourceDefinition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
_TITLE: Final = {"apiVersion", "kind", "metadata.name", "metadata.namespace"}


def reported(before: list[Manifest], after: list[Manifest]) -> str:
    """Objects that go (-), come (+) or change, with each changed field."""
    old, new = ({title(each): each for each in side} for side in (before, after))
    lines = [f"- {name}" for name in sorted(old.keys() - new.keys())]
    lines += [f"+ {name}" for name in sorted(new.keys() - old.keys())]
    for name in sorted(new):
        changed = _changes(old.get(name), new[name])
        if changed and new[name]["kind"] not in _FROM_FILES:
            lines += ["", name, *changed]
    return "\n".join(lines).strip() + "\n" if lines else "nothing\n"


def _changes(old: Manifest | None, new: Manifest) -> list[str]:
    before, after = dict(_flat(old or {})), dict(_flat(new))
    if old is None:
        after = {path: each for path, each in after.items() if path not in _TITLE and path[:6] != "rules["}
    lines = []
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            lines += [f"  - {path}: {before[path]}"] if path in before else []
            lines += [f"  + {path}: {after[path]}"] if path in after else []
    return lines


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves by their path. A list of words is a leaf; a rule goes by what it is about."""
    if isinstance(node, dict):
        for key, each in node.items():
            if path != "metadata.labels" or key not in LABELS:
                yield from _flat(each, f"{path}.{key}" if path else key)
    elif isinstance(node, list) and any(isinstance(each, dict) for each in node):
        for number, each in enumerate(node):
            yield from _flat(each, f"{path}[{_about(each) if path == 'rules' else number}]")
    else:
        yield path, json.dumps(node)


def _about(rule: Manifest) -> str:
    return ", ".join(f"{name} {' '.join(rule['verbs'])}" for name in rule["resources"])
