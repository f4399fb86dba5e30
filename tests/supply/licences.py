"""Under which licence each package comes, as an SPDX expression, and whether we may ship it."""

import functools
from collections.abc import Iterable
from importlib import metadata

from license_expression import ExpressionError, Licensing, get_spdx_licensing

from supply.locks import Pin

ALLOWED = {
    *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "PSF-2.0"),
    "MPL-2.0",  # asks for the source of changed files alone: certifi, a list of certificates that we do not change
}
# Where the package's metadata does not say it in SPDX's words: what the licence file in its wheel is.
FROM_LICENCE_FILES = {
    "aiosignal": "Apache-2.0",
    "google-re2": "BSD-3-Clause",
    "obstore": "MIT",
    "promql-parser": "MIT",
}


def licence(pin: Pin) -> str | None:
    """SPDX expression of the installed package; None where neither it nor we know."""
    stated = metadata.metadata(pin.name).json
    if stated["version"] != pin.version:
        raise ValueError(
            f"{pin.name} {stated['version']} is installed, {pin.version} is pinned: run `make setup`"
        )
    for text in (stated.get("license_expression"), stated.get("license"), FROM_LICENCE_FILES.get(pin.name)):
        if text and not unknown_to_spdx(str(text)):
            return str(text)
    return None


@functools.cache
def spdx() -> Licensing:
    """SPDX's list of licences, which takes a while to read."""
    return get_spdx_licensing()


def unknown_to_spdx(text: str) -> bool:
    """Whether the text is no expression of SPDX identifiers."""
    try:
        return bool(spdx().validate(text, strict=True).errors)
    except ExpressionError:
        return True


def not_allowed(pins: Iterable[Pin]) -> list[str]:
    """One sentence for each package whose licence is unknown, or binds us further than we want."""
    problems = []
    for pin in pins:
        expression = licence(pin)
        if expression is None:
            problems.append(f"{pin.name} {pin.version} does not say its licence")
        elif foreign := set(spdx().license_keys(expression)) - ALLOWED:
            problems.append(f"{pin.name} {pin.version} is under {', '.join(sorted(foreign))}")
    return problems
