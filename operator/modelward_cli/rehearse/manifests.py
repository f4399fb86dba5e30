"""What a user hands in to be rehearsed: a ModelDeployment, and what it needs beside it, as YAML.

Of the address of a model only the form is checked, by the program that fetches: it is started, not imported, and asks no
store. Where it is not installed the form is not checked.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from modelward.api import names
from modelward.api.crd.schema import Schema, structural_schema
from modelward.api.decode import decode_runtime, decode_spec, without_nulls
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.model_runtime import ModelRuntimeSpec
from modelward.api.objects import Manifest
from modelward.errors import InvalidSpec, ModelwardError
from modelward.simulator.json_patch import copied
from modelward_cli.rehearse.rules import check

DEFAULT_NAMESPACE: Final = "default"
_RUNTIMES: Final = ("ModelRuntime", "ClusterModelRuntime")
_VERSION: Final = f"{names.GROUP}/{names.VERSION}"
_EXPLAIN_SECONDS: Final = 60


class InvalidManifest(ModelwardError):
    """What was handed in cannot be rehearsed; the message says where, and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """The objects of one file that matter."""

    model: Manifest
    runtimes: tuple[Manifest, ...] = ()
    routes: tuple[Manifest, ...] = ()
    ignored: tuple[str, ...] = ()
    """Kind and name of objects that a rehearsal has no use for."""


def read(text: str, source: str) -> Manifests:
    """The objects in a YAML text. Raises InvalidManifest."""
    documents = list(_documents(text, source))
    models = [raw for raw in documents if raw.get("kind") == names.KIND]
    if len(models) != 1:
        raise InvalidManifest(f"{source}: must have exactly one {names.KIND}, it has {len(models)}")
    model = _with_metadata(models[0], source)
    for raw in documents:
        _checked(raw, source)
    runtimes = [_with_metadata(raw, source) for raw in documents if raw.get("kind") in _RUNTIMES]
    routes = [_with_metadata(raw, source) for raw in documents if raw.get("kind") == "HTTPRoute"]
    known = (names.KIND, *_RUNTIMES, "HTTPRoute")
    return Manifests(
        model=model,
        runtimes=tuple(runtimes),
        routes=tuple(routes),
        ignored=tuple(_called(raw) for raw in documents if raw.get("kind") not in known),
    )


def changed(model: Manifest, changes: tuple[str, ...]) -> Manifest:
    """The model with each `FIELD=VALUE` done, such as `spec.model.version=8`. Raises InvalidManifest.

    A value is YAML; where only a string fits, it is taken as one.
    """
    after = model
    for change in changes:
        path, equals, text = change.partition("=")
        keys = path.removeprefix("spec.").split(".")
        if not equals or not all(keys):
            raise InvalidManifest(f"--change {change}: must be FIELD=VALUE, such as spec.model.version=8")
        after = _changed(after, keys, text, f"--change {change}")
    return after


def assumed(models: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One phrase for each address that the models name. Raises InvalidManifest for one that has not its scheme's form."""
    found = dict.fromkeys(str((raw["spec"].get("model") or {}).get("uri") or "") for raw in models)
    for uri in found:
        if uri:
            yield f"a model that can be fetched (its store is not asked): {_explained(uri)}"


def _explained(uri: str) -> str:
    if importlib.util.find_spec("modelward_fetch") is None or importlib.util.find_spec("obstore") is None:
        return "the form of its address is not checked without modelward[fetch]"
    command = [sys.executable, "-m", "modelward_fetch", "--explain", "--", uri]
    done = subprocess.run(  # noqa: S603 - one argument of its own, no shell
        command, capture_output=True, text=True, check=False, timeout=_EXPLAIN_SECONDS
    )
    if done.returncode:
        raise InvalidManifest(f"spec.model.uri: {done.stderr.strip()}")
    return done.stdout.strip()


def _changed(model: Manifest, keys: list[str], text: str, source: str) -> Manifest:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidManifest(f"{source}: is no YAML: {error}") from error
    try:
        return _with_value(model, keys, value, source)
    except InvalidManifest:
        if value is None or isinstance(value, str):
            raise
        try:
            return _with_value(model, keys, text, source)
        except InvalidManifest:
            return _with_value(model, keys, value, source)  # what is wrong with the value itself


def _with_value(model: Manifest, keys: list[str], value: Any, source: str) -> Manifest:
    after = copied(model)
    _set(after["spec"], keys, value)
    _checked(after, source)
    return after


def _set(spec: Manifest, keys: list[str], value: Any) -> None:
    *parents, last = keys
    for key in parents:
        if not isinstance(spec.get(key), dict):
            spec[key] = {}
        spec = spec[key]
    if value is None:
        spec.pop(last, None)
    else:
        spec[last] = value


def _documents(text: str, source: str) -> Iterator[Manifest]:
    try:
        documents = [each for each in yaml.safe_load_all(text) if each is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidManifest(f"{source}: is no YAML: {error}") from error
    for number, raw in enumerate(documents):
        if not isinstance(raw, dict) or not isinstance(raw.get("kind"), str):
            raise InvalidManifest(f"{source}, document {number + 1}: must be a Kubernetes object with a kind")
        if raw["kind"] == "List":
            yield from (each for each in raw.get("items") or () if isinstance(each, dict))
        else:
            yield raw


def _with_metadata(raw: Manifest, source: str) -> Manifest:
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        raise InvalidManifest(f"{source}: {raw['kind']}: metadata.name: must be given: it is required")
    namespace = "" if raw["kind"].startswith("Cluster") else metadata.get("namespace") or DEFAULT_NAMESPACE
    kept = {key: metadata[key] for key in ("name", "labels", "annotations") if metadata.get(key)}
    return {
        "apiVersion": raw.get("apiVersion"),
        "kind": raw["kind"],
        "metadata": kept | ({"namespace": namespace} if namespace else {}),
        "spec": without_nulls(raw.get("spec") or {}),
    }


def _checked(raw: Manifest, source: str) -> None:
    """Raise InvalidManifest, with field and remedy, for what the API server would refuse."""
    kind = raw.get("kind")
    if kind not in (names.KIND, *_RUNTIMES):
        return
    where = f"{source}: {_called(raw)}"
    if raw.get("apiVersion") != _VERSION:
        raise InvalidManifest(f"{where}: apiVersion: must be {_VERSION}, not {raw.get('apiVersion')}")
    spec = raw.get("spec") or {}
    if not isinstance(spec, dict):
        raise InvalidManifest(f"{where}: spec: must be an object")
    try:
        if kind == names.KIND:
            decode_spec(spec)
            check(without_nulls(spec))
        else:
            decode_runtime(spec)
    except InvalidSpec as error:
        raise InvalidManifest(f"{where}: {error}") from error
    struct = ModelDeploymentSpec if kind == names.KIND else ModelRuntimeSpec
    for path in _unknown(spec, structural_schema(struct, nullable=True), "spec"):
        raise InvalidManifest(f"{where}: {path}: must be left out: there is no such field")


def _unknown(value: Any, schema: Schema, path: str) -> Iterator[str]:
    """Paths of fields that the schema does not have."""
    if isinstance(value, Mapping):
        fields: Mapping[str, Schema] | None = schema.get("properties")
        for key, each in value.items():
            if fields is None:
                continue  # a map, whose keys are free
            if key not in fields:
                yield f"{path}.{key}"
            else:
                yield from _unknown(each, fields[key], f"{path}.{key}")
    elif isinstance(value, list) and "items" in schema:
        for number, each in enumerate(value):
            yield from _unknown(each, schema["items"], f"{path}[{number}]")


def _called(raw: Manifest) -> str:
    metadata = raw.get("metadata")
    return f"{raw.get('kind')} {metadata.get('name', '') if isinstance(metadata, dict) else ''}".strip()
