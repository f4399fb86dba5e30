"""The glossary is short, and the words that it replaced stay away."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
GLOSSARY: Final = ROOT / "docs" / "reference" / "glossary.md"
MOST_TERMS: Final = 60
PLACES: Final = ("operator", "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "manifests")
SUFFIXES: Final = {".py", ".md", ".yaml", ".tpl", ".txt"}

REPLACED: Final = re.compile(
    r"\b("
    r"tell(s|ing)?|told|look(s|ed|ing)?|words? of|without a word|graves?|unsettle[ds]?|doubt(s|ed|ful)?|mend(s|ed|ing)?"
    r"|heal(s|ed|ing)?|put right|stands? back|obstacles?|contested|genuine|salvaged?|complaints?|parking|narrat(ed|ion)"
    r"|bets?|stakes?|the door|trim(s|med)?|ill|warming|comes? back by itself|restarts? nobody"
    r")\b",
    re.IGNORECASE,
)
"""The private vocabulary of the first versions. `_` counts as a letter, so parts of names are left."""

ALLOWED: Final = re.compile(
    r"looks? (like|up)\b|looked up\b"  # plain English for appearance, and for reading a name in a table
    r"|make a bad version look good"
    r"|\btell\("  # of a file object
    r"|`(Warming|Ill|Returned)`|\"(Warming|Returned)\"",  # old names of the API, in the changelog and where they are read
)


def terms() -> dict[str, str]:
    """Each term of the glossary with what it means."""
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    return {term: meaning for term, meaning in rows if term != "term"}


def lines() -> Iterator[tuple[str, str]]:
    """Place and text of every line of code, pages and manifests."""
    for place in PLACES:
        root = ROOT / place
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and path.suffix in SUFFIXES and path != GLOSSARY:
                for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                    yield f"{path.relative_to(ROOT)}:{number}", line


def test_the_glossary_is_short() -> None:
    """Few terms, each in one or two sentences."""
    assert 40 <= len(terms()) <= MOST_TERMS
    assert [
        term for term, text in terms().items() if not 1 <= len(re.findall(r"[.:](?= |$)", text)) <= 3
    ] == []


def test_what_is_replaced_is_found() -> None:
    """The search finds a word where it stands alone, and in any case."""
    assert REPLACED.search("Obstacles are told")
    assert not REPLACED.search(ALLOWED.sub("", "what a pod looks like is looked up"))


def test_no_replaced_word_is_used() -> None:
    """Neither in code nor in pages: a reader would not search for it."""
    found = [f"{place}: {line.strip()}" for place, line in lines() if REPLACED.search(ALLOWED.sub("", line))]
    assert found == []
