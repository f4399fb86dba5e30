"""`make demo-down`: the own cluster as a whole; in another cluster exactly what carries the mark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from demo import objects
from demo.console import Console
from demo.images import Images
from demo.kubectl import Kubectl, Manifest
from demo.places import OWN, is_own, reach
from devcluster import find, lifecycle
from devcluster.paths import cache_directory

_NOT_CONTENT = ("kube-root-ca.crt",)
_CONTENT = "deployments,statefulsets,daemonsets,jobs,cronjobs,configmaps,secrets,persistentvolumeclaims"
_GO_CACHES = "the Go build cache (`go clean -cache -modcache`)"


def remove(console: Console) -> None:
    """Remove all that was made. Raises DemoError; doing it again is always fine."""
    if is_own():
        _remove_own(console)
        return
    place = reach(console)
    for line in _remove_marked(place.kubectl):
        console.say(line)
    if find(OWN):
        console.say("the demonstration's own cluster is there, too: `unset KUBECONFIG; make demo-down`")


def _remove_own(console: Console) -> None:
    lifecycle.down(OWN, wipe=True, say=console.say)
    cache = cache_directory()
    if cache.is_dir():
        console.say("what was built stays, for the next time; nobody minds if it is deleted:")
        console.show(f"{_size(path):7.2f} GB  {path}" for path in sorted(cache.iterdir()) if path.is_dir())


def _remove_marked(kubectl: Kubectl) -> Iterator[str]:
    """Delete in the reverse order of making; yields a line for each object."""
    nothing = Images(operator="", server="")
    yield from _delete(kubectl, [objects.namespace()])
    others = _users(kubectl)
    if others:
        yield f"kept: the CRDs and the operator, because {', '.join(others[:3])} need them"
        return
    operator = objects.operator(kubectl, nothing)
    inside = [each for each in operator if each["kind"] != "Namespace"]
    yield from _delete(kubectl, reversed(inside))
    strangers = _strangers(kubectl)
    if strangers:
        yield f"kept: namespace {objects.OPERATOR_NAMESPACE}, because {', '.join(strangers[:3])} is in it"
    else:
        yield from _delete(kubectl, [each for each in operator if each["kind"] == "Namespace"])
    yield from _delete(kubectl, objects.crds())


def _delete(kubectl: Kubectl, manifests: Iterator[Manifest] | list[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        found = objects.live(kubectl, manifest)
        if found is None:
            continue
        if not objects.is_marked(found):
            yield f"kept: {objects.title(manifest)}, which the demonstration has not made"
            continue
        where = found["metadata"].get("namespace", "")
        kubectl(
            *("delete", objects.kind(found), found["metadata"]["name"], "--ignore-not-found"),
            *([f"--namespace={where}"] if where else []),
        )
        yield f"deleted {objects.title(manifest)}"


def _users(kubectl: Kubectl) -> list[str]:
    """Objects of our kinds that the demonstration has not made: deleting the CRDs would delete them, too."""
    kinds = [each["metadata"]["name"] for each in objects.crds()]
    return [
        objects.title(each)
        for kind in kinds
        for each in kubectl.all(kind)
        if each["metadata"].get("namespace") != objects.NAMESPACE and not objects.is_marked(each)
    ]


def _strangers(kubectl: Kubectl) -> list[str]:
    """What others have put into the operator's namespace."""
    found = kubectl.attempt(
        "get", _CONTENT, f"--namespace={objects.OPERATOR_NAMESPACE}", f"-l={objects.MARK}!=demo", "-o", "name"
    )
    return [line for line in found.stdout.split() if not line.endswith(_NOT_CONTENT)]


def _size(path: Path) -> float:
    """Gigabytes below a directory."""
    return sum(each.lstat().st_size for each in path.rglob("*") if not each.is_dir()) / 1e9
