"""Values that a part of the chart's schema allows."""

from typing import Any, Final

from hypothesis import strategies as st

from support.chart import Manifest

_PRINTABLE: Final = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
_USUAL_LENGTH: Final = 20


def of_schema(schema: Manifest) -> st.SearchStrategy[Any]:
    """What it allows, with its bounds among it."""
    match schema["type"]:
        case "object":
            must = {name: of_schema(schema["properties"][name]) for name in schema.get("required", ())}
            may = {name: of_schema(each) for name, each in schema["properties"].items() if name not in must}
            return st.fixed_dictionaries(must, optional=may)
        case "array":
            return st.lists(of_schema(schema["items"]), max_size=3)
        case "integer":
            return _bounds(schema) | st.integers(schema["minimum"], schema["maximum"])
        case "number":
            least = schema.get("minimum", schema.get("exclusiveMinimum"))
            return _bounds(schema) | st.floats(
                least, schema["maximum"], exclude_min="minimum" not in schema, allow_subnormal=False
            )
        case "boolean":
            return st.booleans()
        case _:
            longest = schema.get("maxLength", _USUAL_LENGTH)
            texts = st.from_regex(schema.get("pattern", "[a-z/.-]*"), fullmatch=True, alphabet=_PRINTABLE)
            return texts.filter(lambda text: len(text) <= longest)


def _bounds(schema: Manifest) -> st.SearchStrategy[Any]:
    return st.sampled_from([schema[each] for each in ("minimum", "maximum") if each in schema])
