"""Settings from the environment, all checked before anything starts."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model_server.faults import Faults, faults_from_env

HIGHEST_PORT = 65535


class SettingsError(ValueError):
    """A variable has a value that cannot be used; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the server is reported: by the operator (MODEL_...), by the image (ports), by a test (FAULT_...)."""

    model_name: str
    model_path: Path
    model_version: str
    model_revision: str
    pod_name: str
    http_port: int
    metrics_port: int
    drain_seconds: float
    faults: Faults


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Settings with defaults applied. Raises SettingsError on the first bad value."""
    try:
        return Settings(
            model_name=environ.get("MODEL_NAME") or "breast-cancer",
            model_path=Path(environ.get("MODEL_PATH") or "/models/breast-cancer"),
            model_version=environ.get("MODEL_VERSION", ""),
            model_revision=environ.get("MODEL_REVISION", ""),
            pod_name=environ.get("POD_NAME") or socket.gethostname(),
            http_port=_port(environ, "HTTP_PORT", 8080),
            metrics_port=_port(environ, "METRICS_PORT", 8082),
            drain_seconds=_seconds(environ, "DRAIN_SECONDS", 1.0),
            faults=faults_from_env(environ),
        )
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    """A TCP port; 0 takes any free one, which the log names."""
    text = environ.get(name, str(default))
    if not text.isdecimal() or int(text) > HIGHEST_PORT:
        raise SettingsError(f"{name} must be a port from 0 to {HIGHEST_PORT}, not {text!r}")
    return int(text)


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 3600:
        raise SettingsError(f"{name} must be seconds from 0 to 3600, not {text!r}")
    return value
