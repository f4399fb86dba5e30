"""Archives as tests make them."""

import io
import tarfile


def tar(
    *members: tarfile.TarInfo | tuple[str, bytes], mode: str = "w:gz", form: int = tarfile.PAX_FORMAT
) -> bytes:
    """An archive of files by name and content, and of whatever else."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for each in members:
            if isinstance(each, tarfile.TarInfo):
                archive.addfile(each)
            else:
                info = tarfile.TarInfo(each[0])
                info.size = len(each[1])
                archive.addfile(info, io.BytesIO(each[1]))
    return buffer.getvalue()


def member(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    """Of a kind other than a file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info
