"""What is kept of a revision: the model noted on its snapshot, and the pin, small, unchangeable and gone with it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builders.observed import make_model, make_revision, make_status
from modelward.api import names
from modelward.api.fetch_report import Identity
from modelward.api.status import FetchedModel
from modelward.projection.controller_revision import (
    LARGEST_PIN_BYTES,
    controller_revision,
    pin,
    read_revision,
    recorded,
)
from modelward.projection.project import pins, project
from modelward.traffic_shares import Split
from modelward_fetch import pin as program
from modelward_fetch.uri import parse

SHA = f"sha256:{'a' * 64}"
MODEL = {"uri": "s3://models/fraud/7"}
REVISION = make_revision(model=MODEL)
ENTRY = FetchedModel(
    revision=REVISION.name,
    uri="s3://models/fraud/7?versionId=3",
    digest=SHA,
    listing=SHA,
    identity=Identity.PINNED,
    files=1,
    bytes=10,
)


def test_the_program_reads_what_the_operator_writes(tmp_path: Path) -> None:
    """And follows the version in it."""
    manifest = pin(make_model(model=MODEL), ENTRY, "uid-of-snapshot")
    assert manifest
    (tmp_path / program.FILE).write_text(manifest["data"][program.FILE], encoding="utf-8")
    found = program.read(tmp_path, parse(MODEL["uri"]))
    assert found
    assert (str(found.resolved), found.digest, found.listing) == (ENTRY.uri, SHA, SHA)


def test_nobody_can_change_it_and_it_goes_with_its_snapshot() -> None:
    """There is one for each revision that is kept, and no more."""
    manifest = pin(make_model(model=MODEL), ENTRY, "uid-of-snapshot")
    assert manifest
    assert manifest["immutable"] is True
    (owner,) = manifest["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["blockOwnerDeletion"]) == (
        "ControllerRevision",
        "uid-of-snapshot",
        False,
    )
    assert manifest["metadata"]["labels"][names.MANAGED_BY_LABEL] == names.MANAGER


@pytest.mark.parametrize(
    "uri", ["", "s3://models/\N{HORIZONTAL ELLIPSIS}", "s3://models/" + "x" * LARGEST_PIN_BYTES]
)
def test_an_address_that_is_not_known_in_full_is_not_pinned(uri: str) -> None:
    """The program would refuse it, and no later pod would start."""
    entry = FetchedModel(revision=REVISION.name, uri=uri, digest=SHA)
    assert pin(make_model(model=MODEL), entry, "uid") is None


def test_a_pin_is_asked_for_once() -> None:
    """What is noted on the snapshot has been pinned: a restart of the operator writes nothing."""
    model, owners = make_model(model=MODEL), {REVISION.name: "uid"}
    status = make_status(REVISION.name, fetched=(ENTRY,))
    assert set(pins(model, status, {REVISION.name: REVISION}, owners)) == {REVISION.name}
    noted = replace(REVISION, noted=recorded(ENTRY))
    assert pins(model, status, {REVISION.name: noted}, owners) == {}
    assert pins(model, status, {REVISION.name: REVISION}, {}) == {}, "its snapshot is not stored"


def test_the_note_on_a_snapshot_is_read_again() -> None:
    """It is the memory when status is lost; what changes while the revision lives is not part of it."""
    moved = FetchedModel(
        **{name: getattr(ENTRY, name) for name in ENTRY.__struct_fields__} | {"changed": "x"}
    )
    manifest = controller_revision(make_model(model=MODEL), REVISION, "", moved)
    note = manifest["metadata"]["annotations"][names.FETCHED_ANNOTATION]
    data = json.dumps(manifest["data"]).encode()
    found = read_revision(REVISION.name, 1, data, fetched=note)
    assert found.fetched == found.noted == ENTRY
    for wrong in ("", "{", "[]", '{"revision": "another"}', "[" * 10_000):
        assert read_revision(REVISION.name, 1, data, fetched=wrong).fetched is None


def test_the_model_is_noted_after_its_pin_is_written() -> None:
    """A crash between the two asks for the pin once more, which then counts as done."""
    model, status = make_model(model=MODEL), make_status(REVISION.name, fetched=(ENTRY,))

    def noted(unpinned: set[str]) -> list[str]:
        found = project(
            model,
            status,
            {REVISION.name: REVISION},
            sizes={},
            split=Split(stable=REVISION.name),
            unpinned=unpinned,
        )
        return [each.name for each in found.intents if each.kind == "ControllerRevision"]

    assert noted({REVISION.name}) == []
    assert noted(set()) == [names.child_name("fraud", REVISION.name)]
