"""Archives: what is unpacked, and what is refused."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelward_fetch.archives import unpack
from modelward_fetch.failures import FetchFailed, Reason
from modelward_fetch.limits import MIB, Limits
from support.fetch import QUICK, digest_of, fetch, files, reason
from support.fetch_site import Page, Site
from support.fetch_tar import member, tar

CONTENT = {"model.onnx": b"abc" * 1000, "deep/labels.txt": b"cat\n", "empty": b""}
LIMITS = Limits(bytes=10 * MIB, files=100)


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def refused(content: bytes, name: str, tmp_path: Path, limits: Limits = LIMITS) -> Reason:
    """Why it is; nothing lies outside the folder."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FetchFailed) as raised:
        unpack(tmp_path / name, tmp_path / "box" / "target", limits)
    assert {path.name for path in tmp_path.iterdir()} <= {name, "box"}
    assert {path.name for path in (tmp_path / "box").iterdir()} <= {"target"}
    return raised.value.reason


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("m.tar", lambda: tar(*CONTENT.items(), mode="w")),
        ("m.tar.gz", lambda: tar(*CONTENT.items())),
        ("m.TGZ", lambda: tar(*CONTENT.items(), form=tarfile.GNU_FORMAT)),
        ("m.zip", lambda: zipped(*CONTENT.items())),
        (
            "dot.tar",
            lambda: tar(
                member("./", tarfile.DIRTYPE), *((f"./{k}", v) for k, v in CONTENT.items()), mode="w"
            ),
        ),
    ],
)
def test_a_fetched_archive_is_unpacked(
    site: Site, tmp_path: Path, name: str, pack: Callable[[], bytes]
) -> None:
    """The digest is that of its content, spec.model.sha256 that of the archive."""
    site.pages[f"/{name}"] = Page(pack())
    report = fetch(f"{site.url}/{name}", tmp_path / "m", secret={"ca.crt": site.ca})
    assert files(tmp_path / "m") == CONTENT
    assert report.digest == digest_of(CONTENT)
    again = fetch(f"{site.url}/{name}", tmp_path / "m", secret={"ca.crt": site.ca}, sha256=report.sha256)
    assert again.result == "AlreadyThere"


NAMES = ["../x", "a/../../x", "/etc/x", "a/./b", "a//b", "a\\..\\x", "a\nb", "x" * 300]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    """In both kinds."""
    assert refused(tar((name, b"x")), "a.tar.gz", tmp_path) == Reason.UNSAFE_ARCHIVE
    (tmp_path / "a.tar.gz").unlink()
    assert refused(zipped((name, b"x")), "a.zip", tmp_path) == Reason.UNSAFE_ARCHIVE


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
@pytest.mark.parametrize("link", ["/etc/passwd", "../../x", "model.onnx"])
def test_links_and_devices(tmp_path: Path, kind: bytes, link: str) -> None:
    """Refused, and so is what would be written through one."""
    content = tar(("model.onnx", b"x"), member("way", kind, link), ("way/x", b"x"))
    assert refused(content, "a.tar", tmp_path) == Reason.UNSAFE_ARCHIVE


def test_a_link_in_a_zip(tmp_path: Path) -> None:
    """Kept in the attributes of Unix."""
    info = zipfile.ZipInfo("way")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert refused(zipped((info, b"/etc/passwd")), "a.zip", tmp_path) == Reason.UNSAFE_ARCHIVE


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice(tmp_path: Path) -> None:
    """Which one counts would depend on who unpacks; so would a file that is a folder, too."""
    assert refused(tar(("a", b"1"), ("a", b"2")), "a.tar", tmp_path) == Reason.UNSAFE_ARCHIVE
    (tmp_path / "a.tar").unlink()
    assert refused(zipped(("b", b"1"), ("b", b"2")), "b.zip", tmp_path) == Reason.UNSAFE_ARCHIVE


def test_bombs(tmp_path: Path) -> None:
    """Many bytes, many files, many folders, by a few bytes of archive."""
    zeros = bytes(11 * MIB)
    many = [(f"{number}", b"") for number in range(101)]
    folders = [member(f"{number}/", tarfile.DIRTYPE) for number in range(101)]
    for number, (name, content) in enumerate(
        [
            ("a.tar.gz", tar(("zeros", zeros))),
            ("b.zip", zipped(("zeros", zeros))),
            ("c.tar.gz", tar(*many)),
            ("d.zip", zipped(*many)),
            ("e.tar.gz", tar(*folders)),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert refused(content, name, folder) == Reason.TOO_LARGE


def test_a_header_that_says_it_is_huge(tmp_path: Path) -> None:
    """tarfile would read it as a whole."""
    info = member("././@PaxHeader", tarfile.XHDTYPE)
    info.size = 3 * MIB
    content = info.tobuf(tarfile.USTAR_FORMAT) + bytes(4 * MIB)
    assert refused(gzip.compress(content), "a.tar.gz", tmp_path) == Reason.UNSAFE_ARCHIVE


def test_a_sparse_file_that_says_it_is_huge(tmp_path: Path) -> None:
    """A few bytes with holes of gigabytes."""
    content = tar(("sparse", b"x"), mode="w", form=tarfile.GNU_FORMAT)
    block = bytearray(content)
    block[156:157] = tarfile.GNUTYPE_SPARSE
    block[148:156] = b"%06o\0 " % (256 + sum(block[:148]) + sum(block[156:512]))
    assert refused(bytes(block), "a.tar", tmp_path) in {Reason.UNSAFE_ARCHIVE, Reason.FORMAT_UNKNOWN}


def test_a_zip_that_says_less_than_it_holds(tmp_path: Path) -> None:
    """Sizes are counted again while they are written."""
    content = bytearray(zipped(("zeros", bytes(MIB))))
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 10)
    assert refused(bytes(content), "a.zip", tmp_path) in {Reason.UNSAFE_ARCHIVE, Reason.FORMAT_UNKNOWN}


@pytest.mark.parametrize("cut", [512, 1000, 1536, -600])
def test_a_tar_that_is_cut(tmp_path: Path, cut: int) -> None:
    """Also where a header ends, or is broken: a part of a model is none."""
    content = tar(("a", b"x" * 512), ("b", b"y" * 512), mode="w", form=tarfile.USTAR_FORMAT)[: 2048 + 512]
    assert refused(content[:cut], "a.tar", tmp_path) == Reason.FORMAT_UNKNOWN
    broken = bytearray(tar(("a", b"x" * 512), ("b", b"y" * 512), mode="w", form=tarfile.USTAR_FORMAT))
    broken[1024] ^= 1
    (tmp_path / "box" / "target" / "a").unlink(missing_ok=True)
    assert refused(bytes(broken), "a.tar", tmp_path) == Reason.FORMAT_UNKNOWN


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip"])
@pytest.mark.parametrize("content", [b"", b"not an archive" * 100, gzip.compress(b"x" * 5000)[:30]])
def test_what_is_no_archive(tmp_path: Path, name: str, content: bytes) -> None:
    """Whatever it is called."""
    assert refused(content, name, tmp_path) == Reason.FORMAT_UNKNOWN


def test_an_encrypted_zip(tmp_path: Path) -> None:
    """Nobody has its password here."""
    content = bytearray(zipped(("a", b"x")))
    at = content.rindex(b"PK\x01\x02")
    content[at + 8] |= 1
    assert refused(bytes(content), "a.zip", tmp_path) == Reason.FORMAT_UNKNOWN


def test_an_archive_without_files(site: Site, tmp_path: Path) -> None:
    """Is no model."""
    site.pages["/a.tar"] = Page(tar(member("folder", tarfile.DIRTYPE), mode="w"))
    secret = {"ca.crt": site.ca}
    assert reason(f"{site.url}/a.tar", tmp_path / "m", secret=secret) == Reason.FORMAT_UNKNOWN


def test_a_failed_archive_leaves_nothing(site: Site, tmp_path: Path) -> None:
    """And does not stand in the way of a better one."""
    secret = {"ca.crt": site.ca}
    site.pages["/a.tar"] = Page(tar(("ok", b"x"), ("../x", b"x"), mode="w"))
    assert reason(f"{site.url}/a.tar", tmp_path / "m", secret=secret) == Reason.UNSAFE_ARCHIVE
    assert not (tmp_path / "m").exists()
    site.pages["/a.tar"] = Page(tar(("ok", b"x"), mode="w"), etag='"two"')
    fetch(f"{site.url}/a.tar", tmp_path / "m", secret=secret, limits=replace(QUICK, files=2))
    assert files(tmp_path / "m") == {"ok": b"x"}
