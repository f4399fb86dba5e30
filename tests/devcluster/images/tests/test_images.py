"""Images: the key follows the content, the build sees the inputs alone, archives are complete or not there."""

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from devcluster.images import REFERENCES, ImageError, build_image, host_pip
from devcluster.images.build import archive_path, write_archive
from devcluster.images.recipes import IMAGES, Recipe, content_key, parse_name, stage


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """A recipe of a Dockerfile and a folder with one source file."""
    context = tmp_path / "context"
    (context / "source").mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM scratch\n")
    (context / "source" / "a.py").write_text("1\n")
    (context / "secret").write_text("not for the build\n")
    return Recipe(reference="example:1", context=context, inputs=("Dockerfile", "source"))


def test_key_changes_with_content(recipe: Recipe) -> None:
    """Another byte or another file is another image."""
    keys = [content_key(recipe)]
    (recipe.context / "source" / "a.py").write_text("2\n")
    keys.append(content_key(recipe))
    (recipe.context / "source" / "b.py").touch()
    keys.append(content_key(recipe))
    assert len(set(keys)) == 3


def test_key_ignores_what_does_not_go_in(recipe: Recipe) -> None:
    """Times, bytecode and files that are no input make no new image."""
    before = content_key(recipe)
    os.utime(recipe.context / "source" / "a.py", (1, 1))
    (recipe.context / "source" / "__pycache__").mkdir()
    (recipe.context / "source" / "__pycache__" / "a.pyc").touch()
    (recipe.context / "secret").write_text("other\n")
    assert content_key(recipe) == before


def test_build_sees_the_inputs_alone(recipe: Recipe, tmp_path: Path) -> None:
    """What the key does not cover is not in the build context."""
    stage(recipe, tmp_path / "staged")
    staged = {str(path.relative_to(tmp_path / "staged")) for path in (tmp_path / "staged").rglob("*")}
    assert staged == {"Dockerfile", "source", "source/a.py"}


def test_unknown_name_is_refused_with_the_names() -> None:
    """A typing error is answered with what there is."""
    with pytest.raises(ValueError, match="pause, operator, fetch, model-server"):
        parse_name("modelserver")


def test_pip_configuration_of_the_machine_reaches_the_build(tmp_path: Path) -> None:
    """Environment wins over files; the certificate bundle is mounted where the configuration names it."""
    bundle = tmp_path / "bundle.crt"
    bundle.touch()
    settings = tmp_path / "mine.conf"
    settings.write_text("[global]\ntimeout = 7\nretries = 3\n")
    environ = {
        "PIP_CERT": str(bundle),
        "PIP_TIMEOUT": "9",
        "PIP_CONFIG_FILE": str(settings),
        "PIP_TARGET": "/x",
    }
    volumes = host_pip.build_volumes(tmp_path, environ)
    assert f"{bundle}:{host_pip.BUNDLE}:ro" in volumes
    assert f"{tmp_path / 'pip.conf'}:{host_pip.CONFIGURATION}:ro" in volumes
    written = (tmp_path / "pip.conf").read_text()
    assert "timeout = 9" in written
    assert "retries = 3" in written
    assert f"cert = {host_pip.BUNDLE}" in written
    assert "target" not in written


def test_archive_names_the_image_for_containerd(tmp_path: Path) -> None:
    """Both annotations are there, or an import would make up a name."""
    layout = tmp_path / "layout"
    (layout / "blobs").mkdir(parents=True)
    (layout / "oci-layout").write_text("{}")
    (layout / "index.json").write_text(json.dumps({"manifests": [{"digest": "sha256:0"}]}))
    write_archive(layout, "example:1", tmp_path / "image.tar", tmp_path)
    with tarfile.open(tmp_path / "image.tar") as archive:
        index = archive.extractfile("index.json")
        assert index is not None
        annotations = json.load(index)["manifests"][0]["annotations"]
    assert annotations == {
        "io.containerd.image.name": "example:1",
        "org.opencontainers.image.ref.name": "example:1",
    }


def test_archive_that_is_there_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the archive in the cache no program is needed."""
    monkeypatch.setenv("MODELWARD_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    archive = archive_path("pause")
    archive.parent.mkdir()
    archive.touch()
    assert build_image("pause") == archive


def test_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the tools gets one line with the remedy, and no archive."""
    monkeypatch.setenv("MODELWARD_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImageError, match="install it yourself"):
        build_image("pause")
    assert not list(tmp_path.rglob("*.tar"))


@pytest.mark.skipif(not (shutil.which("buildah") and shutil.which("go")), reason="needs buildah and Go")
def test_pause_is_built_from_its_dockerfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest image, for real: its archive is complete and carries its name."""
    monkeypatch.setenv("MODELWARD_CACHE", str(tmp_path))
    archive = build_image("pause")
    assert archive == archive_path("pause")
    with tarfile.open(archive) as tar:
        assert {"oci-layout", "index.json"} <= set(tar.getnames())
    assert not list(archive.parent.glob("work-*"))


def test_every_image_has_a_reference() -> None:
    """Names, recipes and references are the same set."""
    assert {name: recipe.reference for name, recipe in IMAGES.items()} == REFERENCES
