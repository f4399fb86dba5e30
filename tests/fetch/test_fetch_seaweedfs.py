"""s3:// against SeaweedFS: a real store, whose listing, errors and ranges are its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.store import put
from devcluster import object_store
from devcluster.object_store import ObjectStore
from devcluster.progress import silence
from modelward_fetch.failures import Reason
from support.fetch import PART_BYTES, digest_of, failure, fetch, files, reason

pytestmark = pytest.mark.integrations

FOLDER = {
    "model.onnx": os.urandom(3 * PART_BYTES + 100),
    "labels.txt": b"cat\n",
    "deep/er/a b.txt": b"odd",
    "empty": b"",
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """The store of the demonstration, as a process of this test, with a folder in it."""
    directory = tmp_path_factory.mktemp("store")
    (directory / "credentials").mkdir()
    try:
        store = object_store.start(directory, "127.0.0.1", silence)
        put(store, {f"fraud/7/{name}": content for name, content in FOLDER.items()})
        put(store, {"fraud/77/other": b"of another model"})
        yield store
    finally:
        object_store.stop(directory)


def test_a_folder_in_parts(stored: ObjectStore, tmp_path: Path) -> None:
    """All of it and nothing of its neighbour; the second time nothing is fetched."""
    report = fetch("s3://models/fraud/7", tmp_path / "m", secret=stored.reader_secret)
    assert files(tmp_path / "m") == FOLDER
    assert report.digest == digest_of(FOLDER)
    assert fetch("s3://models/fraud/7", tmp_path / "m", secret=stored.reader_secret).result == "AlreadyThere"


def test_one_object(stored: ObjectStore, tmp_path: Path) -> None:
    """Under its own name."""
    fetch("s3://models/fraud/7/labels.txt", tmp_path / "m", secret=stored.reader_secret)
    assert files(tmp_path / "m") == {"labels.txt": b"cat\n"}


def test_what_is_missing_and_what_is_denied(stored: ObjectStore, tmp_path: Path) -> None:
    """Each with its reason."""
    assert reason("s3://models/fraud/8", tmp_path / "m", secret=stored.reader_secret) == Reason.NOT_FOUND
    for changed in ({"AWS_ACCESS_KEY_ID": "nobody"}, {"AWS_SECRET_ACCESS_KEY": "another"}):
        failed = failure("s3://models/fraud/7", tmp_path / "m", secret=stored.reader_secret | changed)
        assert (failed.reason, failed.field) == (Reason.DENIED, "spec.model.secretRef")
    assert reason("s3://private/fraud", tmp_path / "m", secret=stored.reader_secret) == Reason.DENIED


def test_an_object_that_is_overwritten_has_another_digest(stored: ObjectStore, tmp_path: Path) -> None:
    """Nothing pins it here, so it is Mutable."""
    put(stored, {"moving/model.onnx": b"first"})
    first = fetch("s3://models/moving", tmp_path / "a", secret=stored.reader_secret)
    put(stored, {"moving/model.onnx": b"second"})
    second = fetch("s3://models/moving", tmp_path / "b", secret=stored.reader_secret)
    assert first.identity == second.identity == "Mutable"
    assert first.digest != second.digest
    assert first.listing != second.listing
