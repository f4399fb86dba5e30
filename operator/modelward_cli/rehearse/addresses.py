"""What a rehearsal says of the address of a model: its form, and whether it can be had again. Nobody is asked for it.

The program that fetches knows; it is started, not imported. Where it is not installed the form is not checked.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from modelward_cli.rehearse.manifests import InvalidManifest

_SECONDS: Final = 60


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
        command, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    if done.returncode:
        raise InvalidManifest(f"spec.model.uri: {done.stderr.strip()}")
    return done.stdout.strip()
