"""How pip is reached from this machine, for the build alone: its configuration and certificate bundle.

Both are mounted while the image is built. Nothing of them becomes part of a layer.
"""

import configparser
import os
import ssl
from collections.abc import Mapping
from pathlib import Path

BUNDLE = "/run/modelward-build/certificates.crt"
CONFIGURATION = "/etc/pip.conf"  # pip's global file, empty in the base image
USED_BY_BUILDS = ("index-url", "extra-index-url", "find-links", "trusted-host", "timeout", "retries", "proxy")


def build_volumes(folder: Path, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Mounts (`source:target:ro`) that let pip in a build work as it does on this machine."""
    options = _options(environ)
    volumes = []
    bundle = (
        options.pop("cert", None) or environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    )
    if bundle and Path(bundle).is_file():
        volumes.append(f"{Path(bundle).resolve()}:{BUNDLE}:ro")
        options["cert"] = BUNDLE
    volumes += [
        f"{place}:{place}:ro" for place in options.get("find-links", "").split() if Path(place).is_dir()
    ]
    configuration = configparser.RawConfigParser()
    configuration["global"] = options
    target = folder / "pip.conf"
    with target.open("w") as file:
        configuration.write(file)
    return [*volumes, f"{target}:{CONFIGURATION}:ro"]


def _options(environ: Mapping[str, str]) -> dict[str, str]:
    """Settings of pip on this machine: files first, environment last, as pip itself ranks them."""
    home = Path(environ.get("HOME", "/"))
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    parser = configparser.RawConfigParser()
    parser.read([*files, *filter(None, [environ.get("PIP_CONFIG_FILE")])])
    options = dict(parser["global"]) if parser.has_section("global") else {}
    for name, value in environ.items():
        if name.startswith("PIP_"):
            options[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return {name: value for name, value in options.items() if name in (*USED_BY_BUILDS, "cert")}
