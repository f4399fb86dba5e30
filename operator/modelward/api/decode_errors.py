"""What is wrong with a spec, in the terms of the person who writes it.

msgspec says where it stopped and what it expected; the remedy is made of that, and of the CRD's schema.
"""

import re
from ast import literal_eval
from typing import Any, Final, cast

import msgspec

from modelward.api.crd.schema import Schema, structural_schema
from modelward.api.fields import ApiStruct
from modelward.api.partial_decode import fits
from modelward.errors import InvalidSpec

_LOCATED: Final = re.compile(r"^(?P<problem>.*?)(?: - at (?:`key` in )?`\$(?P<path>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(?P<field>\w+)`$")
_BOUND: Final = re.compile(
    r"^Expected `(?P<type>\w+)`(?P<length> of length)? (?P<sign>[<>]=) (?P<limit>\d+)$"
)
_PATTERN: Final = re.compile(r"^Expected `str` matching regex (?P<pattern>.*)$", re.DOTALL)
_TYPE: Final = re.compile(r"^Expected `(?P<wanted>[^`]+)`, got `(?P<got>\w+)`$")
_WORDS: Final = {
    "int": "a whole number",
    "str": "a string (in quotes, if it looks like a number or true/false)",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "float": "a number with a fraction",
    "null": "null",
}


def explained(error: msgspec.ValidationError, raw: Any, struct: type[ApiStruct]) -> InvalidSpec:
    """Return the error with the path and the remedy, of which msgspec gives path and expectation."""
    located = cast("re.Match[str]", _LOCATED.match(str(error)))
    problem, path = located["problem"], located["path"] or ""
    if path.endswith("[...]"):
        path = path.removesuffix("[...]")
        return InvalidSpec(
            f"spec{path}{_culprit(raw, path, struct)}", _remedy(problem, f"{path}[...]", struct)
        )
    if missing := _MISSING.match(problem):
        return InvalidSpec(f"spec{path}.{missing['field']}", "must be given: it is required")
    return InvalidSpec(f"spec{path}", _remedy(problem, path, struct))


def _culprit(raw: Any, path: str, struct: type[ApiStruct]) -> str:
    """Return `.key` of the entry that is wrong in the map at `path` of `raw`; msgspec does not say.

    Tries one entry at a time; `raw` is the decoder's own copy, which nobody else reads.
    """
    entries = raw
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        entries = entries[name] if name else entries[int(index)]
    for key, value in list(entries.items()):
        entries.clear()
        entries[key] = value
        if not fits(raw, struct):
            return f".{key}"
    return ""


def _remedy(problem: str, path: str, struct: type[ApiStruct]) -> str:
    """Turn msgspec's phrase into one that begins with "must"."""
    if problem.startswith("Invalid enum value"):
        return "must be one of " + ", ".join(_schema_at(path, struct).get("enum", ()))
    if bound := _BOUND.match(problem):
        return _bound_remedy(bound)
    if pattern := _PATTERN.match(problem):
        return _pattern_remedy(pattern["pattern"], _schema_at(path, struct))
    if kind := _TYPE.match(problem):
        wanted = " or ".join(_WORDS.get(word.strip(), word) for word in kind["wanted"].split("|"))
        return f"must be {wanted}, not {_WORDS.get(kind['got'], kind['got']).partition(' (')[0]}"
    return f"must be different: {problem}"


def _pattern_remedy(pattern: str, schema: Schema) -> str:
    """Return the words that the CRD has for `pattern`, a Python literal; else the pattern itself."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if literal_eval(pattern) in rule["rule"]:
            return str(rule["message"])
    return f"must match {pattern}"


def _bound_remedy(bound: re.Match[str]) -> str:
    """Turn a bound on a number or a length into words."""
    side = "at least" if bound["sign"] == ">=" else "at most"
    if not bound["length"]:
        return f"must be {side} {bound['limit']}"
    unit = {"str": "characters", "array": "items"}.get(bound["type"], "entries")
    return f"must have {side} {bound['limit']} {unit}"


def _schema_at(path: str, struct: type[ApiStruct]) -> Schema:
    """Return the schema of the field at msgspec's `path`, such as `.rollout.steps[0].approval`."""
    schema = structural_schema(struct, nullable=False)
    for name, index in re.findall(r"\.(\w+)|(\[[^\]]*\])", path):
        if name:
            schema = schema.get("properties", {}).get(name, {})
        elif index:
            schema = schema.get("items") or schema.get("additionalProperties") or {}
    return schema
