"""The chart of a release names the image that was built for it."""

from pathlib import Path

import pytest
import yaml

from supply import released_chart

DIGEST = "sha256:" + "2" * 64


def test_values_have_the_image_by_digest(tmp_path: Path) -> None:
    """And nothing else differs from the chart in the repository."""
    released_chart.copy(tmp_path / "chart", "registry.example.com/modelward", DIGEST)
    before = yaml.safe_load((released_chart.CHART / "values.yaml").read_text())
    after = yaml.safe_load((tmp_path / "chart" / "values.yaml").read_text())
    before["image"] |= {"repository": "registry.example.com/modelward", "digest": DIGEST}
    assert after == before
    assert yaml.safe_load((tmp_path / "chart" / "Chart.yaml").read_text())["name"] == "modelward"
    assert not any(path.is_symlink() for path in (tmp_path / "chart").rglob("*"))


@pytest.mark.parametrize("image", ["modelward:1.0", "modelward@sha256:1", "a b"])
def test_image_is_a_name_alone(image: str, tmp_path: Path) -> None:
    """A tag or a second digest would make a reference that no node understands."""
    with pytest.raises(ValueError, match="is no image by digest"):
        released_chart.copy(tmp_path / "chart", image, DIGEST)


def test_digest_is_whole(tmp_path: Path) -> None:
    """A short one, or a tag in its place, is refused."""
    with pytest.raises(ValueError, match="is no image by digest"):
        released_chart.copy(tmp_path / "chart", "modelward", "sha256:22")
