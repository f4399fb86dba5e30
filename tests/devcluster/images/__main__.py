"""Builds the named images (all without a name) and prints path, size in MB and seconds for each."""

import sys
import time

from devcluster.images import REFERENCES, ImageError, build_image
from devcluster.images.recipes import parse_name


def main(arguments: list[str]) -> int:
    """Exit code: 0 built, 1 failed, 2 no such image."""
    try:
        names = [parse_name(argument) for argument in arguments] or list(REFERENCES)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for name in names:
        started = time.monotonic()
        try:
            archive = build_image(name)
        except ImageError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        size_mb = archive.stat().st_size / 1e6
        print(f"{archive}\t{size_mb:.1f} MB\t{time.monotonic() - started:.2f} s\t{REFERENCES[name]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
