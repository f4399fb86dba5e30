"""Hypothesis that draws the same examples in every run: a red CI must be somebody's change, not bad luck.

`make test-integrations` draws more of them (`--hypothesis-profile=nightly`). New examples are looked for with
`--hypothesis-profile=explore`, and by `make fuzz`; what they find becomes a test.
"""

import importlib
import pkgutil
from typing import Final

from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.database import DirectoryBasedExampleDatabase

import modelward
from devcluster.paths import cache_directory

BY_DAY: Final = 40
AT_NIGHT: Final = 100


def examples(count: int) -> int:
    """How many a test draws that wants so many at night."""
    return max(1, count * settings().max_examples // AT_NIGHT)


def draw_the_same_examples() -> None:
    """Make the profile `repeatable` the default, and register the others. Nothing is kept in the repository."""
    home = cache_directory() / "hypothesis"
    set_hypothesis_home_dir(home)
    # Deadlines are timings, which are no test's business on a machine that does other things, too.
    settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=BY_DAY)
    settings.register_profile("nightly", derandomize=True, deadline=None, max_examples=AT_NIGHT)
    examples = DirectoryBasedExampleDatabase(home / "examples")
    settings.register_profile("explore", derandomize=False, deadline=None, database=examples)
    settings.load_profile("repeatable")
    _load_all()


def _load_all() -> None:
    """Import the whole package: Hypothesis draws constants of the modules that are loaded, so it must be the same ones."""
    for module in pkgutil.walk_packages(modelward.__path__, "modelward."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
