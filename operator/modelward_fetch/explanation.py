"""What can be known of an address without asking anybody: its form, and whether it can be had again."""

from typing import Final

from modelward_fetch.uri import Location

_PINNED: Final = {
    "s3": "names one version of an object",
    "gs": "names one generation of an object",
    "az": "names one version of a blob",
    "hf": "names a commit",
    "oci": "names a digest",
    "mlflow": "names a version, whose files could be overwritten on the tracking server",
}
_MOVING: Final = {
    "hf": "names a branch or tag: its commit is looked up once for each revision",
    "oci": "names a tag: its digest is looked up once for each revision",
    "mlflow": "names an alias: its version is looked up once for each revision",
}
_OBJECTS: Final = (
    "names an object or a folder: one object of a store with versions is pinned once for each revision,"
    " anything else can be overwritten (SourceMutable)"
)
_UNPINNED: Final = {
    "https": "can be overwritten on its server (SourceMutable)",
    "pvc": "is mounted as it is; contents are not read, so a change of them is not seen (SourceMutable)",
}


def explained(at: Location) -> str:
    """One phrase about what the address names; its query is left out."""
    if at.scheme in _UNPINNED:
        return f"{at} {_UNPINNED[at.scheme]}"
    if at.names_version:
        return f"{at} {_PINNED[at.scheme]}"
    return f"{at} {_MOVING.get(at.scheme, _OBJECTS)}"
